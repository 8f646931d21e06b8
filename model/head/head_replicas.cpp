#include "model/head/head_replicas.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <numeric>

namespace diffprob::model {
namespace {

std::int64_t sum(const std::vector<std::int64_t>& counts, int first, int last) {
  return std::accumulate(counts.begin() + first, counts.begin() + last, std::int64_t{0});
}

}  // namespace

HeadReplicas::HeadReplicas(dist::Communicator& between, int group_size)
    : between_(&between), group_size_(group_size) {
  TORCH_CHECK(group_size > 0, "head: groups of ", group_size, " ranks");
}

HeadReplicas::Share HeadReplicas::share_of(const std::vector<std::int64_t>& counts) const {
  const auto ranks = static_cast<int>(counts.size());
  if (!several()) {
    const std::int64_t rows = sum(counts, 0, ranks);
    return {counts, 0, 0, rows, rows};
  }
  TORCH_CHECK(ranks == group_size_ * between_->world_size(), "head: ", ranks, " row counts for ",
              between_->world_size(), " groups of ", group_size_, " ranks");
  const int first = between_->rank() * group_size_;
  const int last = first + group_size_;
  return {std::vector<std::int64_t>(counts.begin() + first, counts.begin() + last), first,
          sum(counts, 0, first), sum(counts, first, last), sum(counts, 0, ranks)};
}

at::Tensor HeadReplicas::whole(const at::Tensor& own,
                               const std::vector<std::int64_t>& counts) const {
  std::vector<std::int64_t> rows;  // of each group
  for (int group = 0; group < between_->world_size(); ++group)
    rows.push_back(sum(counts, group * group_size_, (group + 1) * group_size_));
  std::vector<std::int64_t> sizes = own.sizes().vec();
  sizes[0] = sum(rows, 0, static_cast<int>(rows.size()));
  at::Tensor all = at::empty(sizes, own.options());
  between_->all_gather_v(all, own.contiguous(), rows)->wait_stream();
  return all;
}

}  // namespace diffprob::model
