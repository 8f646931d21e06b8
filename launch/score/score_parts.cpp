#include "launch/score/score_parts.h"

#include <bit>
#include <cstring>
#include <optional>
#include <utility>

namespace diffprob::launch {
namespace {

constexpr int kScorePartsFormat = 2;
static_assert(std::endian::native == std::endian::little,
              "records are written as they lie in memory");

PartsPlan parts_plan(const ScorePlan& plan) {
  return {plan.num_samples,
          static_cast<std::int64_t>(sizeof(prune::ScoreRecord)),
          {{"format", "diffprob-score-part"},
           {"format_version", kScorePartsFormat},
           {"dataset_fingerprint", plan.dataset_fingerprint},
           {"model_fingerprint", plan.model_fingerprint},
           {"margin", plan.margin},
           {"scale", plan.scale},
           {"settings", plan.settings}}};
}

}  // namespace

ScoreParts::ScoreParts(std::string folder, const ScorePlan& plan, dist::HostCollectives& control)
    : num_samples_(plan.num_samples),
      control_(control),
      parts_(std::move(folder), parts_plan(plan), control) {}

void ScoreParts::write(prune::SampleRange samples, std::span<const prune::ScoreRecord> records) {
  parts_.write(samples, std::as_bytes(records));
}

std::vector<prune::ScoreRecord> ScoreParts::read_all() {
  std::optional<prune::ScoreTableBuilder> table;
  if (control_.rank() == 0) table.emplace(num_samples_);
  std::vector<prune::ScoreRecord> records;
  parts_.read_all(
      [&](prune::SampleRange, std::span<const std::byte> bytes, const std::string& file) {
        records.resize(bytes.size() / sizeof(prune::ScoreRecord));
        if (!bytes.empty()) std::memcpy(records.data(), bytes.data(), bytes.size());
        table->add(records, file);
      });
  return table ? table->take() : std::vector<prune::ScoreRecord>();
}

}  // namespace diffprob::launch
