#include "eval/metrics/set_report.h"

namespace diffprob::eval {

SetReport report_pairs(const std::string& name, std::span<const double> distances,
                       const std::vector<bool>& same, int folds) {
  SetReport report;
  report.name = name;
  report.pairs = static_cast<std::int64_t>(same.size());
  report.verification = verify(distances, same, folds);
  for (const double far : {1e-3, 1e-2, 1e-1})
    report.val.push_back({far, val_at_far(distances, same, far, folds)});
  const Roc roc(distances, same);
  report.auc = roc.auc();
  report.eer = roc.eer();
  report.genuine = roc.genuine();
  report.impostors = roc.impostors();
  constexpr double kFars[] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1};
  report.tar = roc.at_fars(kFars);
  report.curves = verification_curves(distances, same);
  return report;
}

}  // namespace diffprob::eval
