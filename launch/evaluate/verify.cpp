#include "launch/evaluate/verify.h"

#include <spdlog/spdlog.h>

#include <chrono>

namespace diffprob::launch {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::vector<eval::SetReport> verify_sets(const std::string& what,
                                         std::vector<eval::ResidentSet>& sets,
                                         model::Backbone& backbone, const Config& config,
                                         Runtime& runtime, const TakeVerified& take) {
  std::vector<eval::SetReport> reports;
  for (auto& set : sets) {
    const double start = seconds_now();
    const eval::VerifiedSet verified =
        eval::verify_set(set, backbone, runtime.tensors(), config.eval.embedder);
    const eval::SetReport& r = verified.report;
    spdlog::info(
        "{}: {} ({} pairs, {:.0f}/s)  accuracy {:.2f}% +- {:.2f}  AUC {:.4f}  EER {:.2f}%  XNorm "
        "{:.4f}",
        what, r.name, r.pairs, static_cast<double>(r.pairs) / (seconds_now() - start),
        100 * r.verification.accuracy_mean, 100 * r.verification.accuracy_std, r.auc, 100 * r.eer,
        r.feature_norm);
    if (take) take(set.set(), verified);
    reports.push_back(r);
  }
  return reports;
}

}  // namespace diffprob::launch
