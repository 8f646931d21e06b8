#include "model/head_files/head_files.h"

#include <algorithm>
#include <filesystem>

#include <torch/types.h>

#include "model/head_files/rank_order.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

/// Looks at some rows at a time, because the test makes copies.
void check_finite(const std::string& path, const at::Tensor& rows, std::int64_t first_class) {
  constexpr std::int64_t kRows = 8192;
  for (std::int64_t begin = 0; begin < rows.size(0); begin += kRows) {
    const at::Tensor finite =
        at::isfinite(rows.narrow(0, begin, std::min(kRows, rows.size(0) - begin))).all(1);
    if (finite.all().item<bool>()) continue;
    TORCH_CHECK(false, path, ": the centre of class ",
                first_class + begin + finite.logical_not().nonzero()[0].item<std::int64_t>(),
                " has values that are not finite");
  }
}

}  // namespace

HeadFiles::HeadFiles(const std::vector<std::string>& paths, std::int64_t embedding_dim)
    : paths_(in_rank_order(without_folders(paths))), embedding_dim_(embedding_dim) {
  TORCH_CHECK(!paths_.empty(), "expected at least one file of class centres");
  for (const std::string& path : paths_) {
    HeadEntry entry = find_head_entry(path, embedding_dim);
    if (embedding_dim_ == 0) embedding_dim_ = entry.embedding_dim;
    TORCH_CHECK(entry.embedding_dim == embedding_dim_, path, ": its class centres have ",
                entry.embedding_dim, " values, but those of ", paths_.front(), " have ",
                embedding_dim_);
    const std::int64_t first = num_classes_;
    num_classes_ += entry.classes;
    shards_.push_back({std::move(entry), first});
  }
}

std::string HeadFiles::text() const {
  const std::string& entry = shards_.front().entry.name;
  std::string text = paths_.front() + (entry.empty() ? "" : " (" + entry + ")");
  if (paths_.size() > 1) text += " and " + std::to_string(paths_.size() - 1) + " more";
  return text;
}

void HeadFiles::read(std::int64_t first, const at::Tensor& into) const {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(first >= 0 && into.dim() == 2 && into.size(1) == embedding_dim_ &&
                  into.size(0) <= num_classes_ - first,
              paths_.front(), ": classes ", first, " to ", first + into.size(0) - 1, " of ",
              num_classes_, " are wanted, with ", into.size(1), " values of ", embedding_dim_);
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const std::int64_t begin = shards_[i].first_class, end = begin + shards_[i].entry.classes;
    if (begin < first + into.size(0) && end > first) read_shard(i, first, into);
  }
}

void HeadFiles::read_shard(std::size_t index, std::int64_t first, const at::Tensor& into) const {
  const Shard& shard = shards_[index];
  const std::string& path = paths_[index];
  const StateDict found =
      read_weight_entries(path, [&](const std::string& name) { return name == shard.entry.name; });
  TORCH_CHECK(found.size() == 1 && found.front().second.dim() == 2, path,
              " was changed while it was being read");
  const at::Tensor& stored = found.front().second;
  const at::Tensor rows = shard.entry.by_columns ? stored.t() : stored;  // [C_r, D]
  TORCH_CHECK(rows.size(0) == shard.entry.classes && rows.size(1) == embedding_dim_, path,
              " was changed while it was being read");
  const std::int64_t begin = std::max(first, shard.first_class);
  const std::int64_t end = std::min(first + into.size(0), shard.first_class + shard.entry.classes);
  const at::Tensor part = rows.narrow(0, begin - shard.first_class, end - begin);
  check_finite(path, part, begin);
  into.narrow(0, begin - first, end - begin).copy_(part);
}

}  // namespace diffprob::model
