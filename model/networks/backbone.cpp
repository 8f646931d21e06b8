#include "model/networks/backbone.h"

#include "model/networks/iresnet.h"
#include "model/networks/mobilefacenet.h"
#include "model/transformer/vision_transformer.h"

namespace diffprob::model {

std::vector<std::string> backbone_names() {
  return {"iresnet18",     "iresnet34",    "iresnet50",    "iresnet100",    "iresnet200",
          "iresnet18_se",  "iresnet34_se", "iresnet50_se", "iresnet100_se", "iresnet200_se",
          "mobilefacenet", "mbf",          "mbf_large",    "vit_t",         "vit_s",
          "vit_b",         "vit_l",        "vit_h",        "cvlface_vit_s", "cvlface_vit_b",
          "vit_nano",      "tiny"};
}

std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options) {
  TORCH_CHECK(options.embedding_dim > 0, "backbone: expected a positive embedding size, got ",
              options.embedding_dim);
  TORCH_CHECK(options.dropout >= 0.0 && options.dropout < 1.0,
              "backbone: expected a dropout in [0, 1), got ", options.dropout);
  if (const auto vit = vision_transformer_shape(options.name))
    return std::make_shared<VisionTransformer>(*vit, options);
  if (const auto shape = mobilefacenet_shape(options.name))
    return std::make_shared<MobileFaceNet>(*shape, options);
  const auto shape = iresnet_shape(options.name);
  TORCH_CHECK(shape.has_value(), "backbone: unknown network '", options.name, "'; expected one of ",
              c10::Join(", ", backbone_names()));
  return std::make_shared<IResNet>(*shape, options);
}

}  // namespace diffprob::model
