#include "model/inference/network.h"

#include <ATen/ATen.h>

#include "model/input/normalize.h"
#include "model/transformer/vision_transformer.h"

namespace diffprob::model {
namespace {

// Of the last product. For fewer, MKL takes another kernel, ten times less exact (3e-5 of 6 at
// 25088 columns).
constexpr std::int64_t kFewestRows = 4;

const VisionTransformer* as_vision_transformer(const Backbone& backbone) {
  return dynamic_cast<const VisionTransformer*>(&backbone);
}

std::unique_ptr<InferenceTrunk> make_trunk(const Backbone& backbone, const NamedWeights& weights,
                                           const at::TensorOptions& options) {
  // The weights do not tell the number of heads, so this network has to be known by its class.
  if (const auto* transformer = as_vision_transformer(backbone))
    return make_vision_transformer_trunk(*transformer, weights, options);
  if (is_iresnet(weights)) return make_iresnet_trunk(weights, options);
  TORCH_CHECK(is_mobilefacenet(weights),
              "inference network: the backbone is neither an IResNet nor a MobileFaceNet nor a "
              "vision transformer");
  return make_mobilefacenet_trunk(weights, options);
}

at::Device device_of(const Backbone& backbone) {
  const auto parameters = backbone.parameters();
  TORCH_CHECK(!parameters.empty(), "inference network: the backbone has no weights");
  return parameters.front().device();
}

void check_images(const at::Tensor& images) {
  const bool bytes = images.scalar_type() == at::kByte && images.dim() == 4 &&
                     images.size(1) == 112 && images.size(2) == 112 && images.size(3) == 3;
  const bool faces = images.is_floating_point() && images.dim() == 4 && images.size(1) == 3 &&
                     images.size(2) == 112 && images.size(3) == 112;
  TORCH_CHECK(bytes || faces,
              "inference network: expected uint8 images [b, 112, 112, 3] or float faces [b, 3, "
              "112, 112], got ",
              images.toString(), " ", images.sizes());
}

}  // namespace

bool InferenceNetwork::can_rebuild(const Backbone& backbone) {
  const NamedWeights weights(backbone);
  return as_vision_transformer(backbone) != nullptr || is_iresnet(weights) ||
         is_mobilefacenet(weights);
}

InferenceNetwork::InferenceNetwork(const Backbone& backbone, at::ScalarType type)
    : options_(at::TensorOptions(device_of(backbone)).dtype(type)) {
  TORCH_CHECK(type == at::kFloat || type == at::kHalf || type == at::kBFloat16,
              "inference network: expected float32, float16 or bfloat16, got ", type);
  const at::NoGradGuard no_grad;
  const NamedWeights weights(backbone);
  trunk_ = make_trunk(backbone, weights, options_);
  const FoldedWeights& output = trunk_->output();
  weight_ = output.weight.to(options_.device(), at::kFloat).contiguous().t();
  bias_ = output.bias.to(options_.device(), at::kFloat);
}

at::Tensor InferenceNetwork::features(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  check_images(images);
  const at::Tensor faces =
      (images.scalar_type() == at::kByte ? normalize_faces(images, options_.device()) : images)
          .to(options_);
  return trunk_->run(faces.contiguous(at::MemoryFormat::ChannelsLast))
      .permute({0, 2, 3, 1})
      .flatten(1)
      .to(at::kFloat);
}

at::Tensor InferenceNetwork::output(const at::Tensor& features) const {
  const at::NoGradGuard no_grad;
  const std::int64_t rows = features.size(0);
  if (rows >= kFewestRows || !features.device().is_cpu())
    return at::addmm(bias_, features, weight_);
  const at::Tensor filled = at::zeros({kFewestRows, feature_count()}, features.options());
  filled.narrow(0, 0, rows).copy_(features);
  return at::addmm(bias_, filled, weight_).narrow(0, 0, rows);
}

at::Tensor InferenceNetwork::operator()(const at::Tensor& images) const {
  check_images(images);
  if (images.size(0) == 0) return at::empty({0, embedding_dim()}, bias_.options());
  return output(features(images));
}

}  // namespace diffprob::model
