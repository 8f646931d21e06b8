#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/backbone.h"
#include "model/block_workers.h"
#include "model/inference_network.h"

namespace diffprob::model {

/// Images that go through a network together when it embeds, so that an embedding does not depend on how many images come with it.
/// CPU: 8, by one thread each block. Images per CPU second of one thread for 1, 2, 4, 8, 16 (AVX-512, 2 MiB second cache): iresnet18 19.1 19.7
/// 21.1 21.0 19.4, mobilefacenet 116 142 150 158 146, tiny 531 838 898 1047 1077. Elsewhere: 256, which fill a GPU.
[[nodiscard]] std::int64_t embedding_block(at::Device device);

/// The smallest number of whole blocks, in images, that holds `images`.
[[nodiscard]] std::int64_t whole_blocks(std::int64_t images, at::Device device);

struct FaceEmbedderOptions {
  bool fold = true;                  ///< rebuild the network with InferenceNetwork where it is known (equal within rounding)
  at::ScalarType type = at::kFloat;  ///< of its layers: float32, bfloat16 or float16; the last linear map stays float32 when it is rebuilt
};

/// Embeds faces with a backbone that does not train: scoring and verification. Images are cut into blocks of embedding_block() rows, the
/// last one filled up with black images, and every block goes through the network alone, on a CPU on one thread: on a CPU the bits of an
/// embedding depend on the images of its block and its place there, and neither on the number of images given nor on that of threads.
/// Callers that want the same bits for any number of ranks or batch size start each call at a multiple of embedding_block() of the set.
///
/// The backbone is in eval mode while this lives; each of its modules gets its own mode back afterwards. It outlives this, and its weights
/// must not change meanwhile. Builds no gradient graph. One caller at a time.
class FaceEmbedder {
 public:
  FaceEmbedder(Backbone& backbone, at::Device device, FaceEmbedderOptions options = {});
  ~FaceEmbedder();
  FaceEmbedder(const FaceEmbedder&) = delete;
  FaceEmbedder& operator=(const FaceEmbedder&) = delete;

  /// images: uint8 [b, h, w, 3] RGB, b may be 0 -> embeddings [b, D] float32 on the device, not normalised. On a GPU nothing here waits
  /// for it.
  [[nodiscard]] at::Tensor embed(const at::Tensor& images) const;
  /// Of the images and of their mirror images.
  [[nodiscard]] std::pair<at::Tensor, at::Tensor> embed_with_mirror(const at::Tensor& images) const;

  [[nodiscard]] std::int64_t dim() const { return backbone_.embedding_dim(); }
  [[nodiscard]] at::Device device() const { return device_; }
  [[nodiscard]] std::int64_t block() const { return embedding_block(device_); }
  /// Images to give at a time when `images` are asked for: whole blocks, at least one for each thread.
  [[nodiscard]] std::int64_t batch_of(std::int64_t images) const;

 private:
  void for_each(std::int64_t blocks, const std::function<void(std::int64_t)>& work) const;
  /// Writes the embeddings of block `index` of `images`, mirrored or not, to its rows of `out`.
  void embed_block(const at::Tensor& images, std::int64_t index, bool mirrored, at::Tensor out) const;
  /// uint8 [block, h, w, 3] -> [block, D] float32, on the device.
  [[nodiscard]] at::Tensor forward(const at::Tensor& images) const;

  Backbone& backbone_;
  at::Device device_;
  FaceEmbedderOptions options_;
  bool root_training_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> training_;
  std::unique_ptr<BlockWorkers> workers_;  ///< CPU only
  std::optional<InferenceNetwork> folded_;
};

}  // namespace diffprob::model
