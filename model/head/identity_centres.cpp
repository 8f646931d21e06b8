#include "model/head/identity_centres.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "model/head/gathered_batch.h"
#include "model/head/minus_infinity.h"
#include "model/head/sharded_head.h"

namespace diffprob::model {
namespace {

constexpr double kUnits = 0x1p40;
constexpr std::int64_t kRowsAtOnce = 16384;
constexpr double kShortest = 1e-12;  // of a centre with a direction, as in row_norms.h

/// float32 [n, D] -> int64 in units of 2^-40; values are at most 1 in size.
at::Tensor in_units(const at::Tensor& unit) {
  return unit.to(at::kDouble).mul_(kUnits).round_().to(at::kLong);
}

}  // namespace

IdentityCentres::IdentityCentres(std::int64_t num_classes, std::int64_t dim,
                                 dist::Communicator& communicator)
    : communicator_(communicator),
      num_classes_(num_classes),
      first_class_(
          first_class_of_rank(num_classes, communicator.rank(), communicator.world_size())) {
  TORCH_CHECK(num_classes > 0 && dim > 0, "identity centres: expected classes and dimensions, got ",
              num_classes, " and ", dim);
  const std::int64_t last =
      first_class_of_rank(num_classes, communicator.rank() + 1, communicator.world_size());
  const auto options = at::TensorOptions(at::kLong).device(communicator.device());
  sums_ = at::zeros({last - first_class_, dim}, options);
  counts_ = at::zeros({last - first_class_}, options);
  spoilt_ = at::zeros({}, options);
}

void IdentityCentres::add(const at::Tensor& embeddings, const at::Tensor& labels,
                          const std::vector<std::int64_t>& counts) {
  const at::NoGradGuard no_grad;
  GatheredBatch batch(embeddings, labels, counts, communicator_);
  batch.wait();
  const at::Tensor& of_class = batch.labels();
  const at::Tensor finite = batch.normalised().isfinite().all(1);
  const at::Tensor in_range = at::logical_and(of_class >= 0, of_class < num_classes_);
  spoilt_.add_(at::logical_not(at::logical_and(finite, in_range)).sum());
  if (local_classes() == 0) return;
  const at::Tensor row = of_class - first_class_;
  const at::Tensor own = at::logical_and(at::logical_and(row >= 0, row < local_classes()), finite);
  const at::Tensor place = row.clamp(0, local_classes() - 1);
  const at::Tensor values = in_units(at::where(own.unsqueeze(1), batch.normalised(), 0.0));
  sums_.index_add_(0, place, values);
  counts_.index_add_(0, place, own.to(at::kLong));
}

void IdentityCentres::finish() {
  const auto spoilt = spoilt_.item<std::int64_t>();  // the same on every rank
  TORCH_CHECK(spoilt == 0, "identity centres: ", spoilt,
              " samples have an embedding that is not finite or a label outside of [0, ",
              num_classes_,
              "): the weights are corrupted, or values in the network overflow float16 (then use "
              "score.precision=bf16 or fp32)");
  const at::Tensor absent = counts_ == 0;
  if (absent.any().item<bool>()) absent_ = absent;
  at::Tensor singles = (counts_ == 1).sum().view({1});
  communicator_.all_reduce(singles, dist::ReduceOp::kSum)->wait_host();
  singles_ = singles.item<std::int64_t>();
}

at::Tensor IdentityCentres::centres() const {
  at::Tensor centres = at::empty(sums_.sizes(), sums_.options().dtype(at::kFloat));
  for (std::int64_t first = 0; first < local_classes(); first += kRowsAtOnce) {
    const std::int64_t rows = std::min(kRowsAtOnce, local_classes() - first);
    centres.narrow(0, first, rows)
        .copy_(sums_.narrow(0, first, rows).to(at::kDouble).mul_(1 / kUnits));
  }
  return centres;
}

at::Tensor IdentityCentres::leave_one_out(const at::Tensor& unit, const at::Tensor& labels) const {
  const at::NoGradGuard no_grad;
  at::Tensor cosines = at::full({unit.size(0)}, kMinusInfinity, unit.options());
  if (local_classes() == 0 || unit.size(0) == 0) return cosines;
  const at::Tensor own = labels - first_class_;
  if (unit.is_cpu())
    leave_one_out_on_host(unit.contiguous(), own.contiguous(), cosines);
  else
    leave_one_out_on_device(unit, own, cosines);
  return cosines;
}

void IdentityCentres::leave_one_out_on_host(const at::Tensor& unit, const at::Tensor& own,
                                            at::Tensor cosines) const {
  const std::int64_t dim = sums_.size(1);
  at::parallel_for(0, unit.size(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t c = own.const_data_ptr<std::int64_t>()[i];
      if (c < 0 || c >= local_classes()) continue;
      float& cosine = cosines.mutable_data_ptr<float>()[i];
      if (counts_.const_data_ptr<std::int64_t>()[c] <= 1) {
        cosine = 1;
        continue;
      }
      const float* u = unit.const_data_ptr<float>() + i * dim;
      const std::int64_t* sum = sums_.const_data_ptr<std::int64_t>() + c * dim;
      double product = 0;
      double square = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        const double value = static_cast<double>(u[d]);
        const double others =
            static_cast<double>(sum[d] - static_cast<std::int64_t>(std::nearbyint(value * kUnits)));
        product += value * others;
        square += others * others;
      }
      const double length = std::sqrt(square);
      cosine = static_cast<float>(
          length < kShortest * kUnits ? 0.0 : std::clamp(product / length, -1.0, 1.0));
    }
  });
}

void IdentityCentres::leave_one_out_on_device(const at::Tensor& unit, const at::Tensor& own,
                                              at::Tensor cosines) const {
  const at::Tensor here = at::logical_and(own >= 0, own < local_classes());
  const at::Tensor place = own.clamp(0, local_classes() - 1);
  const at::Tensor others =
      sums_.index_select(0, place).sub_(in_units(unit)).to(at::kDouble).mul_(1 / kUnits);
  const at::Tensor lengths = at::linalg_vector_norm(others, 2, {1});
  at::Tensor found = others.mul(unit.to(at::kDouble)).sum(1).div_(lengths).clamp_(-1.0, 1.0);
  found.masked_fill_(lengths < kShortest, 0.0);
  found.masked_fill_(counts_.index_select(0, place) <= 1, 1.0);
  cosines.copy_(at::where(here, found, kMinusInfinity));
}

}  // namespace diffprob::model
