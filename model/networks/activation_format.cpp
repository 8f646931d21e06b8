#include "model/networks/activation_format.h"

#include <variant>

#include <ATen/ATen.h>

namespace diffprob::model {
namespace {

/// The CPU keeps rows first where accuracy asks for it: LibTorch's batch norm sums channels-last
/// pictures in plain float32, and oneDNN's 3x3 convolutions of channels-last pictures add all
/// inputs in one chain: relative errors 4e-7 (64 channels) to 1.1e-6 (512) instead of 2.2e-7, and
/// so more values on the wrong side of a PReLU, which golden gradients show. 1x1 and depthwise
/// convolutions are alike in both.
at::MemoryFormat format_for(const at::Tensor& faces, bool channels_last_on_cpu) {
  const bool channels_last =
      !faces.is_cpu() || (channels_last_on_cpu && faces.scalar_type() == at::kFloat);
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

}  // namespace

at::Tensor prepare_faces(const at::Tensor& faces, bool channels_last_on_cpu) {
  const bool square = faces.dim() == 4 && faces.size(2) == 112 && faces.size(3) == 112;
  TORCH_CHECK(square && (faces.size(1) == 3 || faces.size(1) == 4 || faces.size(1) == 8),
              "backbone: expected faces [b, 3, 112, 112], got ", faces.sizes());
  TORCH_CHECK(faces.is_floating_point(), "backbone: expected normalised float faces, got ",
              faces.scalar_type());
  return faces.contiguous(format_for(faces, channels_last_on_cpu));
}

void lay_out_weights(torch::nn::Module& network) {
  for (const auto& parameter : network.parameters()) {
    if (parameter.dim() == 4 && parameter.is_cuda())
      at::Tensor(parameter).set_data(parameter.detach().contiguous(at::MemoryFormat::ChannelsLast));
  }
}

at::Tensor stem_convolution(torch::nn::Conv2dImpl& layer, const at::Tensor& faces,
                            const ConvolutionContext& context) {
  const std::int64_t more = faces.size(1) - layer.weight.size(1);
  if (more == 0) return convolution(layer, faces, context);
  const at::Tensor weight = at::constant_pad_nd(layer.weight, {0, 0, 0, 0, 0, more});
  const auto& padding = std::get<torch::ExpandingArray<2>>(layer.options.padding());
  return at::conv2d(faces, weight, layer.bias, *layer.options.stride(), *padding);
}

}  // namespace diffprob::model
