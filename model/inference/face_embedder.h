#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/inference/network.h"
#include "model/inference/options.h"
#include "model/kernels/block_workers.h"
#include "model/networks/backbone.h"

namespace diffprob::model {

/// Images that belong together when a network embeds on a CPU, so that an embedding does not depend
/// on how many images come with it: 16. The last linear map of an IResNet takes 3.3 ms of 8 images
/// for 16 rows, 4.8 for 8, 2.2 for 64 (of 174 for all of iresnet18). Elsewhere 1: all images given
/// go through the network together.
[[nodiscard]] std::int64_t embedding_block(at::Device device);

/// The smallest number of whole blocks, in images, that holds `images`.
[[nodiscard]] std::int64_t whole_blocks(std::int64_t images, at::Device device);

/// Embeds faces with a backbone that does not train: scoring and verification. On a CPU images are
/// cut into blocks of embedding_block() rows, the last one filled up, and every block goes through
/// the network alone, on one thread: the bits of an embedding depend on its image and its place in
/// the block, and neither on the number of images given nor on that of threads. Callers that want
/// the same bits for any number of ranks or batch size start each call at a multiple of
/// embedding_block() of the set. On a GPU they are the same within rounding.
///
/// The backbone is in eval mode while this lives; each of its modules gets its own mode back
/// afterwards. It outlives this, and its weights must not change meanwhile. Builds no gradient
/// graph. One caller at a time.
class FaceEmbedder {
 public:
  FaceEmbedder(Backbone& backbone, at::Device device, FaceEmbedderOptions options = {});
  ~FaceEmbedder();
  FaceEmbedder(const FaceEmbedder&) = delete;
  FaceEmbedder& operator=(const FaceEmbedder&) = delete;

  /// images: uint8 [b, h, w, 3] RGB, b may be 0 -> embeddings [b, D] float32 on the device, not
  /// normalised. On a GPU nothing here waits for it.
  [[nodiscard]] at::Tensor embed(const at::Tensor& images) const;
  /// Of the images and of their mirror images.
  [[nodiscard]] std::pair<at::Tensor, at::Tensor> embed_with_mirror(const at::Tensor& images) const;

  [[nodiscard]] std::int64_t dim() const { return backbone_.embedding_dim(); }
  [[nodiscard]] at::Device device() const { return device_; }
  [[nodiscard]] std::int64_t block() const { return embedding_block(device_); }
  /// Images to give at a time when `images` are asked for: whole blocks, at least one for each
  /// thread.
  [[nodiscard]] std::int64_t batch_of(std::int64_t images) const;

 private:
  /// One way through the network: images, mirrored or not, to their embeddings.
  struct Job {
    at::Tensor images;
    bool mirrored;
    at::Tensor out;
    at::Tensor features{};  ///< [whole blocks, feature_count()], of a rebuilt network on a CPU
  };
  void run(std::vector<Job> jobs) const;
  void run_rebuilt_on_host(std::vector<Job>& jobs) const;
  /// `rows` images of a job from `first` on, those behind the last one black.
  [[nodiscard]] static at::Tensor filled_images(const Job& job, std::int64_t first,
                                                std::int64_t rows);
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
