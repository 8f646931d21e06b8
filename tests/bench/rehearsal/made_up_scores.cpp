#include <cmath>
#include <cstdio>
#include <filesystem>

#include "data/open_dataset.h"
#include "launch/score/score_parts.h"
#include "prune/tables/dynamics.h"
#include "prune/tables/score_table.h"
#include "tests/bench/long_tail.h"
#include "tests/bench/rehearsal/stages.h"

namespace diffprob::rehearsal {
namespace {

constexpr std::int64_t kMostOfAPart = 262144;
constexpr double kWrongLabels = 0.05;

/// Probabilities are mostly near 1; a share of the samples is taken for the next identity.
prune::ScoreRecord record_of(std::int64_t index, std::int64_t label, std::int64_t classes) {
  const auto i = static_cast<std::uint64_t>(index);
  const bool wrong = uniform(4, i) < kWrongLabels;
  const double own = wrong ? 0.2 * uniform(3, i) : 1 - 0.499 * std::pow(uniform(3, i), 4);
  const double best = wrong ? 0.5 : own;
  const double second = wrong ? own : (1 - own) / 2;
  prune::ScoreRecord record;
  record.index = static_cast<std::uint32_t>(index);
  record.probability = static_cast<float>(own);
  record.nll = static_cast<float>(-std::log(std::max(own, 1e-30)));
  record.top1 = static_cast<std::int32_t>(wrong ? (label + 1) % classes : label);
  record.top1_log_prob = static_cast<float>(std::log(best));
  record.second_log_prob = static_cast<float>(std::log(std::max(second, 1e-30)));
  record.sum_p2 = static_cast<float>(best * best + second * second);
  record.entropy = static_cast<float>(1 - best);
  record.cosine = static_cast<float>(own);
  record.norm = 20;
  return record;
}

prune::ScoreSource source_of(const data::Dataset& dataset) {
  return {dataset.fingerprint(), "made up", 0, 64, "", dataset.num_classes()};
}

std::vector<std::int32_t> labels_of(const data::Dataset& dataset) {
  std::vector<std::int32_t> labels;
  labels.reserve(static_cast<std::size_t>(dataset.size()));
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    labels.push_back(static_cast<std::int32_t>(dataset.label(i)));
  return labels;
}

}  // namespace

void write_scores(const std::string& folder, const std::vector<std::string>& paths,
                  std::int64_t kill_after, dist::HostCollectives& control) {
  const auto dataset = data::open_datasets(paths);
  launch::ScorePlan plan;
  plan.num_samples = dataset->size();
  plan.dataset_fingerprint = dataset->fingerprint();
  launch::ScoreParts parts(folder + "/scores.parts", plan, control);
  const std::int64_t found = parts.samples_done();
  const std::int64_t of_a_part = std::min(kMostOfAPart, (dataset->size() + 15) / 16);
  std::int64_t written = 0;
  for (const auto& range : parts.missing()) {
    for (std::int64_t first = range.first; first < range.last; first += of_a_part) {
      const prune::SampleRange part{first, std::min(first + of_a_part, range.last)};
      std::vector<prune::ScoreRecord> records;
      for (std::int64_t i = part.first + control.rank(); i < part.last; i += control.world_size())
        records.push_back(record_of(i, dataset->label(i), dataset->num_classes()));
      parts.write(part, records);
      if (++written == kill_after) {
        control.barrier("every rank has written");
        std::_Exit(0);
      }
    }
  }
  prune::ScoreTable table;
  table.source = source_of(*dataset);
  table.records = parts.read_all();
  if (control.rank() == 0) {
    table.labels = labels_of(*dataset);
    prune::write_scores(folder + "/scores.h5", table);
    std::printf("{\"ranks\": %d, \"samples_found\": %lld, \"parts_written\": %lld}\n",
                control.world_size(), static_cast<long long>(found),
                static_cast<long long>(written));
  }
  control.barrier("scores written");
  parts.remove();
}

void write_dynamics(const std::string& folder, const std::vector<std::string>& paths) {
  const auto dataset = data::open_datasets(paths);
  prune::DynamicsTable table;
  table.source = source_of(*dataset);
  table.epochs = 20;
  table.labels = labels_of(*dataset);
  prune::DynamicsRows& rows = table.rows;
  for (std::int64_t i = 0; i < dataset->size(); ++i) {
    const auto u = [i](std::uint64_t stream) {
      return uniform(stream, static_cast<std::uint64_t>(i));
    };
    rows.mean_probability.push_back(u(10));
    rows.uncertainty.push_back(u(11));
    rows.aum.push_back(static_cast<float>(8 * u(12) - 2));
    rows.forgetting.push_back(static_cast<std::int32_t>(10 * u(13)));
    rows.last_probability.push_back(static_cast<float>(u(14)));
    rows.last_correct.push_back(u(15) < 0.9 ? 1 : 0);
  }
  prune::write_dynamics(folder + "/dynamics.h5", table);
  std::printf("{\"bytes\": %lld}\n",
              static_cast<long long>(std::filesystem::file_size(folder + "/dynamics.h5")));
}

}  // namespace diffprob::rehearsal
