#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>

#include "data/loading/sampler.h"
#include "data/loading/weighted_sampler.h"
#include "data/open_dataset.h"
#include "launch/inputs/kept_list.h"
#include "tests/bench/rehearsal/stages.h"

namespace diffprob::rehearsal {
namespace {

using Clock = std::chrono::steady_clock;
using MakePlan = std::function<std::unique_ptr<data::BatchPlan>(const data::PassOptions&)>;

constexpr std::int64_t kRowsPerRank = 256;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Draws of each sample of the set in an epoch, over all ranks.
std::vector<std::uint32_t> walk(const MakePlan& make, std::int64_t samples, int world_size) {
  std::vector<std::uint32_t> draws(static_cast<std::size_t>(samples));
  std::vector<std::int64_t> batch;
  for (int rank = 0; rank < world_size; ++rank) {
    const auto plan = make({samples, kRowsPerRank * world_size, 7, 3, rank, world_size});
    for (std::int64_t i = 0; i < plan->num_batches(); ++i) {
      plan->indices(i, batch);
      for (const std::int64_t index : batch) ++draws.at(static_cast<std::size_t>(index));
    }
  }
  return draws;
}

/// Each sample at most once, but for the incomplete last batch all of them.
void check_once(const std::vector<std::uint32_t>& draws, std::int64_t global_batch) {
  std::int64_t drawn = 0;
  for (const auto n : draws) {
    if (n > 1) throw std::runtime_error("a sample comes twice in an epoch");
    drawn += n;
  }
  const auto samples = static_cast<std::int64_t>(draws.size());
  if (drawn != samples / global_batch * global_batch)
    throw std::runtime_error("samples are missing in an epoch");
}

/// Classes differ by at most one draw.
void check_balanced(const std::vector<std::uint32_t>& draws, const data::Dataset& dataset) {
  std::vector<std::int64_t> of_class(static_cast<std::size_t>(dataset.num_classes()));
  for (std::size_t i = 0; i < draws.size(); ++i)
    of_class[static_cast<std::size_t>(dataset.label(static_cast<std::int64_t>(i)))] += draws[i];
  const auto [least, most] = std::minmax_element(of_class.begin(), of_class.end());
  if (*most - *least > 1) throw std::runtime_error("classes are not drawn equally often");
}

void walk_all(const char* name, const data::Dataset& dataset, int world_size) {
  const std::int64_t samples = dataset.size(), batch = kRowsPerRank * world_size;
  auto start = Clock::now();
  check_once(walk(
                 [](const data::PassOptions& p) {
                   return std::make_unique<data::ShuffledPlan>(
                       p.epoch_samples, p.global_batch, p.seed, p.epoch, p.rank, p.world_size);
                 },
                 samples, world_size),
             batch);
  const double uniform = seconds_since(start);
  start = Clock::now();
  const auto classes = std::make_shared<data::ClassIndex>(dataset);
  const double index = seconds_since(start);
  check_balanced(walk(
                     [&](const data::PassOptions& p) {
                       return std::make_unique<data::ClassBalancedPlan>(classes, p);
                     },
                     samples, world_size),
                 dataset);
  const double balanced = seconds_since(start) - index;
  start = Clock::now();
  const auto table = std::make_shared<data::AliasTable>(data::class_size_weights(dataset, 0.5));
  const double alias = seconds_since(start);
  static_cast<void>(walk(
      [&](const data::PassOptions& p) { return std::make_unique<data::WeightedPlan>(table, p); },
      samples, world_size));
  const double weighted = seconds_since(start) - alias;
  std::printf(
      "{\"set\": \"%s\", \"samples\": %lld, \"identities\": %lld, \"ranks\": %d, "
      "\"uniform_s\": %.2f, \"class_index_s\": %.2f, \"balanced_s\": %.2f, \"alias_table_s\": "
      "%.2f, \"weighted_s\": %.2f}\n",
      name, static_cast<long long>(samples), static_cast<long long>(dataset.num_classes()),
      world_size, uniform, index, balanced, alias, weighted);
}

}  // namespace

void walk_orders(const std::vector<std::string>& paths, const std::string& kept, int world_size) {
  const auto whole = data::open_datasets(paths);
  walk_all("whole", *whole, world_size);
  const auto list = launch::read_kept_list(kept, whole->size());
  walk_all("kept", *launch::kept_part(whole, list, kept), world_size);
}

}  // namespace diffprob::rehearsal
