#include "eval/embedder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <torch/types.h>

#include "data/error.h"
#include "eval/roc.h"
#include "eval/set_decoder.h"
#include "model/inference_network.h"
#include "model/normalize.h"

namespace diffprob::eval {
namespace {

/// Eval mode for a while. Each module gets its own mode back: a frozen batch norm inside a training backbone stays frozen.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& root) : root_(root), root_training_(root.is_training()) {
    for (auto& module : root.modules(/*include_self=*/false)) training_.emplace_back(module, module->is_training());
    root.eval();
  }
  ~EvalMode() {
    root_.train(root_training_);
    // Parents come before their children here, and train() goes down the tree: the last word on a module is its own.
    for (auto& [module, training] : training_) module->train(training);
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  torch::nn::Module& root_;
  bool root_training_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> training_;
};

/// Which images each rank embeds. The set is cut into the same batches whatever the number of ranks, and each rank takes a run of whole
/// batches: an image always meets the same neighbours, so its embedding is bit-equal for any number of ranks.
struct Split {
  std::int64_t images;
  std::int64_t batch;
  std::int64_t ranks;

  [[nodiscard]] std::int64_t begin(std::int64_t rank) const {
    const std::int64_t batches = (images + batch - 1) / batch;
    return std::min(images, batches * rank / ranks * batch);
  }
  [[nodiscard]] std::vector<std::int64_t> counts() const {
    std::vector<std::int64_t> result;
    for (std::int64_t rank = 0; rank < ranks; ++rank) result.push_back(begin(rank + 1) - begin(rank));
    return result;
  }
};

/// Images and their mirror images -> sums of embeddings, with the backbone or, where it can be rebuilt for speed, the inference network.
class FlipSum {
 public:
  /// The backbone is in evaluation mode and outlives this.
  FlipSum(model::Backbone& backbone, at::Device device, const EmbedderOptions& options) : backbone_(backbone), device_(device) {
    if (options.fold && model::InferenceNetwork::can_rebuild(backbone)) folded_.emplace(backbone);
  }

  /// images: uint8 [b, h, w, 3] on the CPU -> [b, D] float32 on the device. On a GPU nothing here waits for the device.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& images) const {
    if (folded_) {
      const auto bytes = images.to(device_, /*non_blocking=*/images.is_pinned());
      return (*folded_)(bytes).add_((*folded_)(bytes.flip(2)));
    }
    const auto faces = model::normalize_faces(images, device_);  // [b, 3, h, w]
    const auto straight = backbone_.forward(faces).to(at::kFloat);
    return straight + backbone_.forward(faces.flip(3)).to(at::kFloat);
  }
  [[nodiscard]] std::int64_t dim() const { return backbone_.embedding_dim(); }
  [[nodiscard]] at::Device device() const { return device_; }

 private:
  model::Backbone& backbone_;
  at::Device device_;
  std::optional<model::InferenceNetwork> folded_;
};

/// Embeddings of images [begin, end), on the device. [end - begin, D] float32
at::Tensor embed_range(SetDecoder& decoder, const FlipSum& embed, std::int64_t batch, std::pair<std::int64_t, std::int64_t> range) {
  auto embeddings = at::empty({range.second - range.first, embed.dim()}, at::TensorOptions(at::kFloat).device(embed.device()));
  for (std::int64_t begin = range.first; begin < range.second; begin += batch) {
    const std::int64_t end = std::min(begin + batch, range.second);
    // On a GPU the next batch is decoded while this one is embedded.
    const auto sums = embed(decoder.decode(begin, end, embed.device().is_cuda()));
    TORCH_CHECK(sums.dim() == 2 && sums.size(0) == end - begin && sums.size(1) == embeddings.size(1), "backbone: want embeddings [",
                end - begin, ", ", embeddings.size(1), "], got ", sums.sizes());
    embeddings.narrow(0, begin - range.first, end - begin).copy_(sums);
  }
  return embeddings;
}

/// Throws on all ranks when one of them has met an unreadable image; without this the others would wait in the gather.
void agree_on_error(const std::optional<data::DataError>& error, const std::string& set, dist::Communicator& communicator) {
  auto failed_rank = at::full({1}, error ? communicator.rank() : -1, at::TensorOptions(at::kLong).device(communicator.device()));
  communicator.all_reduce(failed_rank, dist::ReduceOp::kMax)->wait_host();
  if (error) throw data::DataError(*error);
  const auto rank = failed_rank.item<std::int64_t>();
  if (rank >= 0)
    throw data::DataError(c10::str("verification set ", set, ": rank ", rank, " met an unreadable image (its own message names it)"));
}

}  // namespace

at::Tensor embed_flip_sum(const data::VerificationSet& set, model::Backbone& backbone, dist::Communicator& communicator,
                          const EmbedderOptions& options) {
  TORCH_CHECK(options.batch_per_rank > 0, "embed: want a positive batch, got ", options.batch_per_rank);
  TORCH_CHECK(set.images.size() == 2 * set.same.size(), "verification set ", set.name, ": ", set.images.size(), " images, but ",
              set.same.size(), " pairs");
  const at::NoGradGuard no_grad;
  const EvalMode eval_mode(backbone);
  const Split split{static_cast<std::int64_t>(set.images.size()), options.batch_per_rank, communicator.world_size()};
  SetDecoder decoder(set, options.image_size, options.decode_threads);
  const FlipSum embed(backbone, communicator.device(), options);

  at::Tensor mine;  // [counts[rank], D]
  std::optional<data::DataError> error;
  try {
    const auto rank = communicator.rank();
    mine = embed_range(decoder, embed, split.batch, {split.begin(rank), split.begin(rank + 1)});
  } catch (const data::DataError& e) {
    error = e;
  }
  agree_on_error(error, set.name, communicator);

  auto all = at::empty({split.images, backbone.embedding_dim()}, mine.options());
  if (split.images > 0) communicator.all_gather_v(all, mine, split.counts())->wait_host();
  return all.cpu();
}

std::vector<double> pair_distances(const at::Tensor& embeddings) {
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(0) % 2 == 0, "pair_distances: want embeddings [2 * pairs, D], got ",
              embeddings.sizes());
  const at::NoGradGuard no_grad;
  const auto rows = embeddings.to(at::kCPU, at::kDouble);
  auto norms = at::linalg_vector_norm(rows, 2, {1}, /*keepdim=*/true);
  norms.masked_fill_(norms == 0, 1);  // a row of zeros has no direction: it stays zeros, as in the protocol's scripts
  const auto pairs = (rows / norms).view({-1, 2, rows.size(1)});
  const auto distances = (pairs.select(1, 0) - pairs.select(1, 1)).square().sum(1).contiguous();  // [P]
  const auto* begin = distances.const_data_ptr<double>();
  return {begin, begin + distances.numel()};
}

SetReport verify_set(const data::VerificationSet& set, model::Backbone& backbone, dist::Communicator& communicator,
                     const EmbedderOptions& options) {
  const auto distances = pair_distances(embed_flip_sum(set, backbone, communicator, options));
  const Roc roc(distances, set.same);
  return {set.name,  set.pairs(), verify(distances, set.same, options.folds),
          roc.auc(), roc.eer(),   verification_curves(distances, set.same)};
}

}  // namespace diffprob::eval
