#include "prune/tables/dynamics.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "dist/mpi/agreement.h"
#include "prune/error.h"

namespace diffprob::prune {
namespace {

constexpr std::uint8_t kCorrectNow = 1;
constexpr std::uint8_t kCorrectOnce = 2;

std::string range_text(SampleRange range) {
  return "samples " + std::to_string(range.first) + " to " + std::to_string(range.last - 1);
}

/// 10 * unbiased standard deviation.
double uncertainty_of(std::span<const float> window) {
  double sum = 0;
  for (const float p : window) sum += static_cast<double>(p);
  const double mean = sum / static_cast<double>(window.size());
  double squares = 0;
  for (const float p : window)
    squares += (static_cast<double>(p) - mean) * (static_cast<double>(p) - mean);
  return 10 * std::sqrt(squares / static_cast<double>(window.size() - 1));
}

void check_values(const EpochRecord& record) {
  const std::string sample = "training dynamics: sample " + std::to_string(record.index);
  if (!(record.probability >= 0 && record.probability <= 1)) {
    throw PruneError(sample + ": probability is " + std::to_string(record.probability) +
                     ", expected 0 to 1");
  }
  if (!std::isfinite(record.margin)) {
    throw PruneError(sample + ": margin is " + std::to_string(record.margin) +
                     ", expected a finite number");
  }
  if (record.correct > 1) {
    throw PruneError(sample + ": correct is " + std::to_string(static_cast<int>(record.correct)) +
                     ", expected 0 or 1");
  }
}

bool sane(const EpochRecord& record) {
  return record.probability >= 0 && record.probability <= 1 && std::isfinite(record.margin) &&
         record.correct <= 1;
}

/// Every sample of the range at most once, all values sane. Which samples came.
std::vector<bool> check_records(std::span<const EpochRecord> records, SampleRange range,
                                const std::string& where) {
  std::vector<bool> seen(static_cast<std::size_t>(range.size()), false);
  for (const EpochRecord& record : records) {
    const auto index = static_cast<std::int64_t>(record.index);
    if (index < range.first || index >= range.last) {
      throw PruneError(where + "sample " + std::to_string(index) + " is not one of the " +
                       range_text(range));
    }
    if (seen[static_cast<std::size_t>(index - range.first)])
      throw PruneError(where + "sample " + std::to_string(index) + " was recorded twice");
    seen[static_cast<std::size_t>(index - range.first)] = true;
    if (!sane(record)) check_values(record);
  }
  return seen;
}

void check_all_came(const std::vector<bool>& seen, SampleRange range, const std::string& where) {
  const auto hole = std::find(seen.begin(), seen.end(), false);
  if (hole == seen.end()) return;
  throw PruneError(where + std::to_string(std::count(seen.begin(), seen.end(), false)) +
                   " samples were not recorded; the first is sample " +
                   std::to_string(range.first + (hole - seen.begin())));
}

/// -log p, never -0.
double nll_of(float probability) {
  return probability == 1 ? 0.0 : -std::log(static_cast<double>(probability));
}

template <class T>
DynamicsColumn column(const std::string& name, std::vector<T>& values, std::size_t per_sample = 1) {
  return {name, per_sample * sizeof(T), std::as_writable_bytes(std::span(values))};
}

void check_state(DynamicsState& state) {
  DynamicsState wanted(state.range, state.window, state.epochs);
  if (state.keeps_history) wanted.start_history();
  const auto found = state.columns();
  const auto expected = wanted.columns();
  if (found.size() != expected.size())
    throw PruneError("training dynamics: a history of " + std::to_string(state.history.size()) +
                     " epochs, expected " + std::to_string(state.epochs));
  for (std::size_t c = 0; c < found.size(); ++c) {
    if (found[c].bytes.size() == expected[c].bytes.size()) continue;
    throw PruneError("training dynamics: column " + found[c].name + " holds " +
                     std::to_string(found[c].bytes.size()) + " bytes, expected " +
                     std::to_string(expected[c].bytes.size()) + " for the " +
                     range_text(state.range));
  }
}

}  // namespace

SampleRange samples_of_rank(std::int64_t num_samples, int rank, int world_size) {
  return {num_samples * rank / world_size, num_samples * (rank + 1) / world_size};
}

std::vector<EpochRecord> exchange_epoch(std::span<const EpochRecord> own, std::int64_t num_samples,
                                        dist::HostCollectives& collectives) {
  const int ranks = collectives.world_size();
  std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks), 0);
  // The rank r with num_samples * r / ranks <= index: the division may be one too small.
  const auto owner = [&](std::int64_t index) {
    auto rank = static_cast<int>(index * ranks / num_samples);
    while (index >= samples_of_rank(num_samples, rank, ranks).last) ++rank;
    return static_cast<std::size_t>(rank);
  };
  dist::together<PruneError>(collectives, [&] {
    for (const EpochRecord& record : own) {
      if (record.index >= num_samples) {
        throw PruneError("training dynamics: rank " + std::to_string(collectives.rank()) +
                         " recorded sample " + std::to_string(record.index) + ", expected 0 to " +
                         std::to_string(num_samples - 1));
      }
      ++counts[owner(record.index)];
    }
  });
  std::vector<std::size_t> next(counts.size(), 0);
  for (std::size_t r = 1; r < next.size(); ++r)
    next[r] = next[r - 1] + static_cast<std::size_t>(counts[r - 1]);
  std::vector<EpochRecord> grouped(own.size());
  for (const EpochRecord& record : own) grouped[next[owner(record.index)]++] = record;
  return collectives.all_to_all_v(std::span<const EpochRecord>(grouped), counts);
}

std::vector<EpochRecord> merge_visits(std::vector<EpochRecord> records) {
  std::sort(records.begin(), records.end(), [](const EpochRecord& a, const EpochRecord& b) {
    return std::tie(a.index, a.probability, a.margin, a.correct) <
           std::tie(b.index, b.probability, b.margin, b.correct);
  });
  std::size_t merged = 0;
  for (std::size_t begin = 0, end = 0; begin < records.size(); begin = end) {
    double probability = 0;
    double margin = 0;
    EpochRecord one = records[begin];
    for (; end < records.size() && records[end].index == one.index; ++end) {
      probability += static_cast<double>(records[end].probability);
      margin += static_cast<double>(records[end].margin);
      one.correct = std::min(one.correct, records[end].correct);
    }
    const auto visits = static_cast<double>(end - begin);
    one.probability = static_cast<float>(probability / visits);
    one.margin = static_cast<float>(margin / visits);
    records[merged++] = one;
  }
  records.resize(merged);
  return records;
}

DynamicsState::DynamicsState(SampleRange own_range, std::int64_t own_window,
                             std::int64_t epochs_seen)
    : range(own_range), window(own_window), epochs(epochs_seen) {
  if (range.first < 0 || range.last < range.first || range.last > std::int64_t{1} << 32 ||
      window < 2 || epochs < 0) {
    throw PruneError("training dynamics: " + range_text(range) + ", window " +
                     std::to_string(window) + ", " + std::to_string(epochs) +
                     " epochs: expected a range of samples, a window of at least 2 and a number of "
                     "epochs of at least 0");
  }
  const auto samples = static_cast<std::size_t>(range.size());
  recent.resize(samples * static_cast<std::size_t>(window));
  probability_sum.resize(samples);
  margin_sum.resize(samples);
  uncertainty_sum.resize(samples);
  last_probability.resize(samples);
  forgotten.resize(samples);
  visits.resize(samples);
  learned.resize(samples);
}

void DynamicsState::start_history() {
  keeps_history = true;
  history.resize(static_cast<std::size_t>(epochs),
                 std::vector<HalfBits>(static_cast<std::size_t>(range.size()), kHalfNaN));
}

std::vector<DynamicsColumn> DynamicsState::columns() {
  std::vector<DynamicsColumn> all = {column("recent", recent, static_cast<std::size_t>(window)),
                                     column("probability_sum", probability_sum),
                                     column("margin_sum", margin_sum),
                                     column("uncertainty_sum", uncertainty_sum),
                                     column("last_probability", last_probability),
                                     column("forgotten", forgotten),
                                     column("visits", visits),
                                     column("learned", learned)};
  for (std::size_t epoch = 0; epoch < history.size(); ++epoch)
    all.push_back(column("history." + std::to_string(epoch), history[epoch]));
  return all;
}

DynamicsState resplit(std::span<const DynamicsState> parts, SampleRange range) {
  if (parts.empty())
    throw PruneError("training dynamics: no part to take the " + range_text(range) + " from");
  std::vector<const DynamicsState*> ordered;
  for (const DynamicsState& part : parts) ordered.push_back(&part);
  std::sort(ordered.begin(), ordered.end(),
            [](const auto* a, const auto* b) { return a->range.first < b->range.first; });
  DynamicsState state(range, parts[0].window, parts[0].epochs);
  if (parts[0].keeps_history) state.start_history();
  auto to = state.columns();
  std::int64_t next = range.first;
  for (const DynamicsState* part : ordered) {
    const SampleRange common{std::max(range.first, part->range.first),
                             std::min(range.last, part->range.last)};
    if (common.size() <= 0) continue;
    if (common.first != next) {
      throw PruneError("training dynamics: sample " + std::to_string(std::min(next, common.first)) +
                       (common.first > next ? " is missing" : " appears twice") +
                       " among the parts");
    }
    DynamicsState copy = *part;
    check_state(copy);
    if (part->window != state.window || part->epochs != state.epochs ||
        part->keeps_history != state.keeps_history) {
      throw PruneError("training dynamics: the part of the " + range_text(part->range) + " saw " +
                       std::to_string(part->epochs) + " epochs with window " +
                       std::to_string(part->window) + ", others " + std::to_string(state.epochs) +
                       " with " + std::to_string(state.window) + ", or only some keep a history");
    }
    const auto from = copy.columns();
    for (std::size_t c = 0; c < to.size(); ++c) {
      const std::size_t row = to[c].bytes_per_sample;
      const auto rows =
          from[c].bytes.subspan(static_cast<std::size_t>(common.first - part->range.first) * row,
                                static_cast<std::size_t>(common.size()) * row);
      std::copy(rows.begin(), rows.end(),
                to[c].bytes.begin() + static_cast<std::ptrdiff_t>((common.first - range.first)) *
                                          static_cast<std::ptrdiff_t>(row));
    }
    next = common.last;
  }
  if (next < range.last)
    throw PruneError("training dynamics: sample " + std::to_string(next) +
                     " is missing from the parts");
  return state;
}

DynamicsAccumulator::DynamicsAccumulator(SampleRange range, std::int64_t window)
    : state_(range, window) {}

DynamicsAccumulator::DynamicsAccumulator(DynamicsState state) {
  restore(std::move(state));
}

void DynamicsAccumulator::restore(DynamicsState state) {
  check_state(state);
  state_ = std::move(state);
}

std::size_t DynamicsAccumulator::row_of(const EpochRecord& record) const {
  return static_cast<std::size_t>(static_cast<std::int64_t>(record.index) - state_.range.first);
}

void DynamicsAccumulator::visit(const EpochRecord& record) {
  const std::size_t i = row_of(record);
  ++state_.visits[i];
  state_.probability_sum[i] += static_cast<double>(record.probability);
  state_.margin_sum[i] += static_cast<double>(record.margin);
  state_.last_probability[i] = record.probability;
  std::uint8_t& learned = state_.learned[i];
  if ((learned & kCorrectNow) != 0 && record.correct == 0) ++state_.forgotten[i];
  learned = static_cast<std::uint8_t>((learned & kCorrectOnce) |
                                      (record.correct != 0 ? kCorrectNow | kCorrectOnce : 0));
}

void DynamicsAccumulator::add_epoch(std::span<const EpochRecord> records, Unvisited unvisited) {
  const std::string where = "training dynamics, epoch " + std::to_string(state_.epochs) + ": ";
  const std::vector<bool> seen = check_records(records, state_.range, where);
  if (unvisited == Unvisited::kRefuse) check_all_came(seen, state_.range, where);
  const auto window = static_cast<std::size_t>(state_.window);
  const auto recent = [&](std::size_t i) {
    return std::span(state_.recent).subspan(i * window, window);
  };
  if (state_.epochs >= state_.window) {  // the window that ended with the epoch before this one
    for (std::size_t i = 0; i < seen.size(); ++i)
      state_.uncertainty_sum[i] += uncertainty_of(recent(i));
  }
  for (const EpochRecord& record : records) {
    if (record.probability != 0) {
      const auto values = recent(row_of(record));
      std::shift_left(values.begin(), values.end(), 1);
      values.back() = record.probability;
    }
    visit(record);
  }
  ++state_.epochs;
  if (!state_.keeps_history) return;
  state_.start_history();  // a row that knows nothing yet
  for (const EpochRecord& record : records)
    state_.history.back()[row_of(record)] = to_half(nll_of(record.probability));
}

std::vector<std::int64_t> DynamicsAccumulator::never_visited() const {
  std::vector<std::int64_t> samples;
  for (std::size_t i = 0; i < state_.visits.size(); ++i) {
    if (state_.visits[i] == 0) samples.push_back(state_.range.first + static_cast<std::int64_t>(i));
  }
  return samples;
}

void DynamicsAccumulator::add_never_visited(std::span<const EpochRecord> records) {
  const std::string where = "training dynamics, samples that no epoch had: ";
  std::vector<bool> seen = check_records(records, state_.range, where);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] && state_.visits[i] > 0) {
      throw PruneError(where + "sample " +
                       std::to_string(state_.range.first + static_cast<std::int64_t>(i)) +
                       " was in an epoch");
    }
    seen[i] = seen[i] || state_.visits[i] > 0;
  }
  check_all_came(seen, state_.range, where);
  for (const EpochRecord& record : records) visit(record);
}

DynamicsRows DynamicsAccumulator::finish() const {
  if (state_.epochs < 1) throw PruneError("training dynamics: no epoch was recorded");
  if (const auto missing = never_visited(); !missing.empty()) {
    throw PruneError("training dynamics: " + std::to_string(missing.size()) +
                     " samples were in no epoch; the first is sample " +
                     std::to_string(missing.front()));
  }
  const auto samples = static_cast<std::size_t>(state_.range.size());
  const auto windows =
      static_cast<double>(std::max<std::int64_t>(state_.epochs - state_.window, 0));
  DynamicsRows rows;
  rows.last_probability = state_.last_probability;
  for (std::size_t i = 0; i < samples; ++i) {
    const auto visits = static_cast<double>(state_.visits[i]);
    rows.mean_probability.push_back(state_.probability_sum[i] / visits);
    rows.uncertainty.push_back(windows > 0 ? state_.uncertainty_sum[i] / windows : 0);
    rows.aum.push_back(static_cast<float>(state_.margin_sum[i] / visits));
    const bool never = (state_.learned[i] & kCorrectOnce) == 0;
    rows.forgetting.push_back(never ? static_cast<std::int32_t>(state_.epochs)
                                    : state_.forgotten[i]);
    rows.last_correct.push_back(state_.learned[i] & kCorrectNow);
  }
  return rows;
}

DynamicsRows gather_on_root(const DynamicsRows& own, dist::HostCollectives& collectives) {
  const auto gather = [&](const auto& column) {
    using T = typename std::remove_cvref_t<decltype(column)>::value_type;
    std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives.world_size()), 0);
    counts[0] = static_cast<std::int64_t>(column.size());
    return collectives.all_to_all_v(std::span<const T>(column), counts);
  };
  DynamicsRows all;
  all.mean_probability = gather(own.mean_probability);
  all.uncertainty = gather(own.uncertainty);
  all.aum = gather(own.aum);
  all.forgetting = gather(own.forgetting);
  all.last_probability = gather(own.last_probability);
  all.last_correct = gather(own.last_correct);
  return all;
}

std::vector<HalfBits> gather_on_root(std::span<const HalfBits> own,
                                     dist::HostCollectives& collectives) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives.world_size()), 0);
  counts[0] = static_cast<std::int64_t>(own.size());
  return collectives.all_to_all_v(own, counts);
}

}  // namespace diffprob::prune
