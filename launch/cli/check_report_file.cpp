#include "launch/cli/check_report_file.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "data/files/atomic_file.h"

namespace diffprob::launch {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

/// File names need not be UTF-8, JSON has to be.
std::string dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json number_or_null(std::int64_t number) {
  return number < 0 ? ordered_json() : ordered_json(number);
}

ordered_json to_json(const data::Finding& finding) {
  ordered_json item = {{"kind", data::name_of(finding.kind)},
                       {"index", number_or_null(finding.index)},
                       {"key", number_or_null(finding.key)},
                       {"offset", number_or_null(finding.offset)},
                       {"label", number_or_null(finding.label)}};
  if (finding.kind == data::FindingKind::kEmptyIdentity) {
    item["last_label"] = finding.other;
  } else if (finding.other >= 0) {
    item["copy_of"] = finding.other;
  }
  item["message"] = finding.message;
  return item;
}

ordered_json totals(const data::CheckReport& report) {
  const auto count = [&](data::SampleVerdict verdict) {
    return std::ranges::count(report.verdicts, verdict);
  };
  return {{"bytes", report.bytes},
          {"samples", report.samples->size()},
          {"identities", report.num_classes},
          {"findings", report.findings.size()},
          {"sound", count(data::SampleVerdict::kSound)},
          {"unreadable", count(data::SampleVerdict::kUnreadable)},
          {"mislabelled", count(data::SampleVerdict::kMislabelled)},
          {"duplicate", count(data::SampleVerdict::kDuplicate)}};
}

}  // namespace

std::string describe_finding(const data::Finding& finding) {
  std::string text;
  const auto add = [&](const char* what, std::int64_t number) {
    if (number >= 0)
      text += (text.empty() ? "" : ", ") + std::string(what) + " " + std::to_string(number);
  };
  add("sample", finding.index);
  add("key", finding.key);
  add("offset", finding.offset);
  if (finding.kind != data::FindingKind::kEmptyIdentity) add("label", finding.label);
  return text.empty() ? finding.message : text + ": " + finding.message;
}

void write_check_report(const std::string& path, const data::CheckReport& report) {
  // Piece by piece: the findings of a large set need not stand in memory a second time.
  data::AtomicFile file(path);
  file.write("{\"format\": \"diffprob-data-check\", \"format_version\": " +
             std::to_string(kFormatVersion));
  file.write(",\n \"path\": " + dump(report.path));
  file.write(",\n \"opens\": " + dump(report.open_error.empty()));
  file.write(",\n \"open_error\": " +
             dump(report.open_error.empty() ? ordered_json() : ordered_json(report.open_error)));
  file.write(",\n \"fingerprint\": " +
             dump(report.fingerprint.empty() ? ordered_json() : ordered_json(report.fingerprint)));
  file.write(",\n \"totals\": " + dump(totals(report)));
  file.write(",\n \"findings\": {");
  auto at = report.findings.begin();  // sorted by kind
  for (std::size_t kind = 0; kind < data::kFindingKinds; ++kind) {
    file.write((kind == 0 ? "\n  \"" : ",\n  \"") + std::string(data::kFindingNames[kind]) +
               "\": [");
    const char* separator = "\n   ";
    for (; at != report.findings.end() && static_cast<std::size_t>(at->kind) == kind; ++at) {
      file.write(separator + dump(to_json(*at)));
      separator = ",\n   ";
    }
    file.write("]");
  }
  file.write("\n }\n}\n");
  file.commit();
}

}  // namespace diffprob::launch
