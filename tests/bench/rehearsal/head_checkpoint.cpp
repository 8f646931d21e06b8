#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/writer.h"
#include "model/head/sharded_head.h"
#include "model/networks/backbone.h"
#include "tests/bench/rehearsal/stages.h"

namespace diffprob::rehearsal {
namespace {

constexpr std::int64_t kDim = 512;
constexpr std::int64_t kPeriod = 1000003;  // whole numbers that float32 holds
constexpr std::int64_t kBlock = 8192;      // rows

at::Tensor rows_of(std::int64_t first, std::int64_t last) {
  return (at::arange(first * kDim, last * kDim, at::kLong) % kPeriod)
      .to(at::kFloat)
      .view({last - first, kDim});
}

struct Share {
  std::int64_t first;
  std::int64_t last;
};

Share share_of(std::int64_t classes, const dist::HostCollectives& control) {
  return {model::first_class_of_rank(classes, control.rank(), control.world_size()),
          model::first_class_of_rank(classes, control.rank() + 1, control.world_size())};
}

template <class Use>
void for_blocks(const at::Tensor& weight, const Share& share, const Use& use) {
  for (std::int64_t first = share.first; first < share.last; first += kBlock) {
    const std::int64_t last = std::min(first + kBlock, share.last);
    at::Tensor block = weight.slice(0, first - share.first, last - share.first);
    use(block, rows_of(first, last));
  }
}

}  // namespace

void write_head(const std::string& folder, std::int64_t classes, dist::HostCollectives& control) {
  const auto start = std::chrono::steady_clock::now();
  const auto network = model::make_backbone({"tiny", kDim, 0.0, 1});
  const Share share = share_of(classes, control);
  launch::CheckpointState state;
  state.backbone = model::state_dict(*network);
  state.first_class = share.first;
  at::Tensor weight = at::empty({share.last - share.first, kDim});
  for_blocks(weight, share, [](at::Tensor& block, const at::Tensor& rows) { block.copy_(rows); });
  state.rows = {{"weight", weight}};
  launch::CheckpointInfo info;
  info.step = 1;
  info.backbone = "tiny";
  info.embedding_dim = kDim;
  info.num_classes = classes;
  launch::CheckpointWriter writer(folder, {1, 0}, control);
  writer.start(info, state);
  writer.finish();
  if (control.rank() != 0) return;
  std::printf("{\"ranks\": %d, \"classes\": %lld, \"seconds\": %.1f}\n", control.world_size(),
              static_cast<long long>(classes),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

void read_head(const std::string& folder, std::int64_t classes, dist::HostCollectives& control) {
  const auto start = std::chrono::steady_clock::now();
  const auto checkpoint = launch::find_checkpoint(folder, control);
  if (!checkpoint) throw std::runtime_error("no whole checkpoint in " + folder);
  const Share share = share_of(classes, control);
  at::Tensor weight = at::zeros({share.last - share.first, kDim});
  launch::CheckpointState state;
  state.first_class = share.first;
  state.rows = {{"weight", weight}};
  launch::load_checkpoint(*checkpoint, state);
  for_blocks(weight, share, [](const at::Tensor& block, const at::Tensor& rows) {
    if (!block.equal(rows)) throw std::runtime_error("a weight was not read back");
  });
  if (control.rank() != 0) return;
  std::printf("{\"ranks\": %d, \"classes\": %lld, \"seconds\": %.1f}\n", control.world_size(),
              static_cast<long long>(classes),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace diffprob::rehearsal
