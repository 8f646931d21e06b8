#include "data/check/check_dataset.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "data/error.h"
#include "data/open_dataset.h"
#include "data/records/record_io.h"

namespace diffprob::data {
namespace fs = std::filesystem;
namespace {

SampleVerdict verdict_of(FindingKind kind) {
  switch (kind) {
    case FindingKind::kUnreadable:
    case FindingKind::kRecord:
    case FindingKind::kCorrupt:
    case FindingKind::kTruncated:
    case FindingKind::kWrongSize:
      return SampleVerdict::kUnreadable;
    case FindingKind::kLabel:
      return SampleVerdict::kMislabelled;
    case FindingKind::kDuplicate:
    case FindingKind::kConflict:
      return SampleVerdict::kDuplicate;
    case FindingKind::kIndex:
    case FindingKind::kLayout:
    case FindingKind::kEmptyIdentity:
      return SampleVerdict::kSound;  // nothing is wrong with the sample itself
  }
  return SampleVerdict::kSound;
}

std::vector<SampleVerdict> verdicts_of(const std::vector<Finding>& findings, std::int64_t samples) {
  std::vector<SampleVerdict> verdicts(static_cast<std::size_t>(samples), SampleVerdict::kSound);
  for (const auto& finding : findings) {
    if (finding.index < 0) continue;
    auto& verdict = verdicts[static_cast<std::size_t>(finding.index)];
    const auto found = verdict_of(finding.kind);
    if (verdict == SampleVerdict::kSound || (found != SampleVerdict::kSound && found < verdict))
      verdict = found;
  }
  return verdicts;
}

void try_to_open(CheckReport& report, const std::string& list_root) {
  try {
    const auto set = open_dataset(report.path, list_root);
    if (set->size() != report.samples->size())
      throw DataError(report.path + ": opened with " + std::to_string(set->size()) +
                      " images, but the check found " + std::to_string(report.samples->size()) +
                      " (was it changed in between?)");
    report.fingerprint = set->fingerprint();
    report.opened_classes = set->num_classes();
  } catch (const DataError& error) {
    report.open_error = error.what();
  }
}

}  // namespace

CheckReport check_dataset(const std::string& path, const CheckOptions& options) {
  std::error_code error;
  const auto file = fs::is_directory(path, error) ? (fs::path(path) / "train.rec").string() : path;
  auto report =
      is_record_file(path) ? check_record_file(file, options) : check_image_files(path, options);
  report.path = path;
  std::ranges::stable_sort(report.findings, {}, [](const Finding& f) {
    return std::tuple(f.kind, f.index, f.offset, f.label);
  });
  report.verdicts = verdicts_of(report.findings, report.samples->size());
  try_to_open(report, options.list_root);
  return report;
}

}  // namespace diffprob::data
