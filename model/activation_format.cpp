#include "model/activation_format.h"

namespace diffprob::model {
namespace {

/// Forward and backward, images per CPU second of one core, rows first / channels last (LibTorch 2.11, AVX-512 CPU, batch 16 to 32):
/// tiny 115..134 / 141..147, iresnet18 3.6..3.8 / 4.1..4.2, mobilefacenet 11.5..12.0 / 12.1. Yet the CPU keeps rows first: its batch norm
/// sums channels-last pictures in plain float32, which puts the gradient norms of iresnet18 70 times and of iresnet50 13 times farther from
/// float64, beyond what the golden vectors allow.
at::MemoryFormat format_for(const at::Device& device) {
  return device.is_cpu() ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
}

}  // namespace

at::Tensor prepare_faces(const at::Tensor& faces) {
  TORCH_CHECK(faces.dim() == 4 && faces.size(1) == 3 && faces.size(2) == 112 && faces.size(3) == 112,
              "backbone: want faces [b, 3, 112, 112], got ", faces.sizes());
  TORCH_CHECK(faces.is_floating_point(), "backbone: want normalised float faces, got ", faces.scalar_type());
  return faces.contiguous(format_for(faces.device()));
}

}  // namespace diffprob::model
