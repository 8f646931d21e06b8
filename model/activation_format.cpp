#include "model/activation_format.h"

#include <cstdlib>

namespace diffprob::model {

at::Tensor prepare_faces(const at::Tensor& faces) {
  TORCH_CHECK(faces.dim() == 4 && faces.size(1) == 3 && faces.size(2) == 112 && faces.size(3) == 112,
              "backbone: want faces [b, 3, 112, 112], got ", faces.sizes());
  TORCH_CHECK(faces.is_floating_point(), "backbone: want normalised float faces, got ", faces.scalar_type());
  return faces.contiguous(std::getenv("CF") ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast);
}

}  // namespace diffprob::model
