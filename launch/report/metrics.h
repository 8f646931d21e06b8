#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace diffprob::launch {

/// What metrics.jsonl says of a training, one value a log line.
struct TrainingCurves {
  static constexpr std::size_t kPhases = 7;
  std::vector<double> step;
  std::vector<double> loss;
  std::vector<double> accuracy;  ///< of the training batches, 0..1
  std::vector<double> learning_rate;
  std::vector<double> images_per_second;  ///< global
  std::vector<double> data_wait;          ///< share of the time, 0..1
  std::array<std::vector<double>, kPhases>
      phase_ms;  ///< mean of a step, in the order of launch::StepPhase
  double host_peak_bytes = 0;
  double device_peak_bytes = 0;
  std::int64_t skipped_updates = 0;
};
struct EvaluationPoint {
  double step = 0;
  std::string set;
  double accuracy = 0;
};
struct TrainingMetrics {
  TrainingCurves curves;
  std::vector<EvaluationPoint> evaluations;
};
struct MetricsFile {
  std::map<std::string, TrainingMetrics> stages;
  std::int64_t bad_lines = 0;  ///< that are no JSON objects with stage, kind and step: left out
};

/// Lines that a later one of the same stage took back (a resumed or repeated training starts again
/// at an earlier step) are left out. Missing numbers are NaN. Throws std::runtime_error that names
/// a file which cannot be read.
[[nodiscard]] MetricsFile read_metrics(const std::string& path);

}  // namespace diffprob::launch
