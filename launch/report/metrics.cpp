#include "launch/report/metrics.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "launch/report/json.h"

namespace diffprob::launch {
namespace {

constexpr std::array<const char*, TrainingCurves::kPhases> kPhaseKeys = {
    "ms_data_wait",     "ms_forward",   "ms_head",  "ms_backward",
    "ms_communication", "ms_optimizer", "ms_replay"};

/// Drops everything from `step` on: the training has gone back.
void take_back(TrainingMetrics& stage, double step) {
  TrainingCurves& curves = stage.curves;
  const auto kept = static_cast<std::size_t>(
      std::lower_bound(curves.step.begin(), curves.step.end(), step) - curves.step.begin());
  for (auto* values : {&curves.step, &curves.loss, &curves.accuracy, &curves.learning_rate,
                       &curves.images_per_second, &curves.data_wait}) {
    values->resize(kept);
  }
  for (auto& values : curves.phase_ms) values.resize(kept);
  std::erase_if(stage.evaluations, [&](const auto& point) { return point.step >= step; });
}

void add_training(TrainingMetrics& stage, double step, const nlohmann::json& line) {
  TrainingCurves& curves = stage.curves;
  if (!curves.step.empty() && step <= curves.step.back()) take_back(stage, step);
  curves.step.push_back(step);
  curves.loss.push_back(number_at(line, "loss"));
  curves.accuracy.push_back(number_at(line, "accuracy"));
  curves.learning_rate.push_back(number_at(line, "lr"));
  curves.images_per_second.push_back(number_at(line, "images_per_second"));
  curves.data_wait.push_back(number_at(line, "data_wait"));
  for (std::size_t i = 0; i < kPhaseKeys.size(); ++i)
    curves.phase_ms[i].push_back(number_at(line, kPhaseKeys[i]));
  curves.host_peak_bytes = std::max(curves.host_peak_bytes, number_at(line, "host_peak_bytes", 0));
  curves.device_peak_bytes =
      std::max(curves.device_peak_bytes, number_at(line, "device_peak_bytes", 0));
  curves.skipped_updates =
      static_cast<std::int64_t>(std::clamp(number_at(line, "skipped", 0), 0.0, 1e15));
}

void add_evaluation(TrainingMetrics& stage, double step, const nlohmann::json& line) {
  const std::string set = text_at(line, "set");
  std::erase_if(stage.evaluations,
                [&](const auto& point) { return point.set == set && point.step >= step; });
  stage.evaluations.push_back({step, set, number_at(line, "accuracy")});
}

bool add_line(MetricsFile& file, const std::string& text) {
  const auto line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) return false;
  const std::string name = text_at(line, "stage"), kind = text_at(line, "kind");
  const double step = number_at(line, "step");
  if (name.empty() || kind.empty() || !(step >= 0)) return false;
  if (kind == "train") add_training(file.stages[name], step, line);
  if (kind == "eval") add_evaluation(file.stages[name], step, line);
  return true;
}

}  // namespace

MetricsFile read_metrics(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path + ": cannot be opened");
  MetricsFile file;
  std::string text;
  while (std::getline(stream, text)) {
    if (!text.empty() && !add_line(file, text)) ++file.bad_lines;
  }
  if (stream.bad()) throw std::runtime_error(path + ": cannot be read");
  return file;
}

}  // namespace diffprob::launch
