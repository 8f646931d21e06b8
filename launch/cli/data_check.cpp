#include "launch/cli/data_check.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <thread>

#include <unistd.h>

#include "data/check/check_dataset.h"
#include "data/error.h"
#include "data/records/pack_records.h"
#include "data/records/record_io.h"
#include "data/sets/label_map.h"
#include "launch/cli/check_report_file.h"
#include "launch/config/suggest.h"
#include "launch/conversion/convert.h"
#include "launch/observe/progress.h"
#include "launch/observe/text_table.h"
#include "prune/lists/index_set.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;
/// Findings of a kind that are printed.
constexpr std::int64_t kShown = 5;

struct CheckArguments {
  std::string path;
  std::string report;
  std::string kept;
  std::string repair;
  data::CheckOptions options;
};

int number(const Override& item, int least, int most, std::vector<std::string>& problems) {
  int value = least;
  const auto* const end = item.value.data() + item.value.size();
  const auto [after, error] = std::from_chars(item.value.data(), end, value);
  if (error != std::errc() || after != end || value < least || value > most)
    problems.push_back(fmt::format("--{}: expected a whole number from {} to {}, found '{}'",
                                   item.key, least, most, item.value));
  return value;
}

CheckArguments parse(const CommandLine& line) {
  static const std::vector<std::string> known = {
      "report", "kept", "repair", "image-size", "data.decode_threads", "data.root"};
  if (line.positional.size() != 2) throw ConfigError({"usage:\n" + help_text("data")});
  CheckArguments arguments;
  arguments.path = line.positional[1];
  arguments.options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::string> problems;
  for (const auto& item : line.overrides) {
    if (item.key == "report")
      arguments.report = item.value;
    else if (item.key == "kept")
      arguments.kept = item.value;
    else if (item.key == "repair")
      arguments.repair = item.value;
    else if (item.key == "data.root")
      arguments.options.list_root = item.value;
    else if (item.key == "image-size")
      arguments.options.image_size = number(item, 0, 16384, problems);
    else if (item.key == "data.decode_threads")
      arguments.options.threads = std::max(1, number(item, 0, 1024, problems));
    else
      problems.push_back("--" + item.key + ": unknown key" + suggestion(item.key, known) +
                         " (diffprob help data lists them)");
    if (item.value.empty()) problems.push_back("--" + item.key + ": a value is missing");
  }
  if (!problems.empty()) throw ConfigError(problems);
  return arguments;
}

/// Progress in MiB of a .rec, or in files.
data::CheckReport check_with_progress(const CheckArguments& arguments, bool records) {
  std::unique_ptr<Progress> progress;
  const std::int64_t unit = records ? kMebibyte : 1;
  data::CheckOptions options = arguments.options;
  options.progress = [&](const data::CheckProgress& at) {
    if (!progress)
      progress = std::make_unique<Progress>("check", (at.total + unit - 1) / unit,
                                            records ? "MiB" : "images", ::isatty(2) != 0);
    progress->advance((at.done + unit - 1) / unit,
                      fmt::format("{} images, {} findings", at.images, at.findings));
  };
  auto report = data::check_dataset(arguments.path, options);
  if (progress) progress->step_aside();
  return report;
}

void print_findings(const data::CheckReport& report) {
  std::vector<std::vector<std::string>> table = {{"finding", "count"}};
  std::string examples;
  for (auto at = report.findings.begin(); at != report.findings.end();) {
    const auto end = std::find_if(at, report.findings.end(), [&](const data::Finding& finding) {
      return finding.kind != at->kind;
    });
    const auto count = end - at;
    table.push_back({data::name_of(at->kind), std::to_string(count)});
    for (auto shown = at; shown != end && shown - at < kShown; ++shown)
      examples += fmt::format("  {}: {}\n", data::name_of(at->kind), describe_finding(*shown));
    if (count > kShown)
      examples += fmt::format("  {}: {} more\n", data::name_of(at->kind), count - kShown);
    at = end;
  }
  fmt::print("\n{}\n{}\n", examples, text_table(table));
}

void print_summary(const data::CheckReport& report, double seconds, int threads) {
  if (!report.findings.empty()) print_findings(report);
  const auto sound = std::ranges::count(report.verdicts, data::SampleVerdict::kSound);
  const auto images = report.samples->size();
  fmt::print(
      "{}: {} images of {} identities, {} valid; {:.1f} MiB in {}, {:.0f} images/s on {} "
      "thread{}\n",
      report.path, images, report.num_classes, sound,
      static_cast<double>(report.bytes) / static_cast<double>(kMebibyte), format_duration(seconds),
      static_cast<double>(images) / std::max(seconds, 1e-9), threads, threads == 1 ? "" : "s");
  if (report.open_error.empty() && report.opened_classes != report.num_classes)
    fmt::print(
        "training and data info count {} identities in this set, by its largest label or property "
        "file\n",
        report.opened_classes);
  if (!report.open_error.empty()) fmt::print("training rejects this set: {}\n", report.open_error);
  fmt::print("{}\n", report.findings.empty() ? "no problems found"
                                             : fmt::format("{} findings", report.findings.size()));
}

prune::Reason reason_of(data::SampleVerdict verdict) {
  switch (verdict) {
    case data::SampleVerdict::kSound:
      return prune::Reason::kKept;
    case data::SampleVerdict::kUnreadable:
      return prune::Reason::kUnreadable;
    case data::SampleVerdict::kMislabelled:
      return prune::Reason::kMislabelled;
    case data::SampleVerdict::kDuplicate:
      return prune::Reason::kDuplicate;
  }
  return prune::Reason::kUnreadable;
}

std::vector<std::int64_t> sound_samples(const data::CheckReport& report) {
  std::vector<std::int64_t> kept;
  for (std::size_t i = 0; i < report.verdicts.size(); ++i)
    if (report.verdicts[i] == data::SampleVerdict::kSound)
      kept.push_back(static_cast<std::int64_t>(i));
  if (kept.empty())
    throw data::DataError(report.path + ": no sample is valid, so there is nothing to keep");
  return kept;
}

prune::IndexSet kept_set(const data::CheckReport& report) {
  prune::IndexSet set;
  set.dataset_fingerprint = report.fingerprint;
  set.num_samples = report.samples->size();
  set.kept = sound_samples(report);
  set.method = "check";
  for (const auto verdict : report.verdicts) set.reasons.push_back(reason_of(verdict));
  set.label_map = data::dense_label_map(*report.samples, set.kept);
  set.label_map.resize(static_cast<std::size_t>(report.opened_classes), -1);
  return set;
}

void write_results(const CheckArguments& arguments, const data::CheckReport& report) {
  if (!arguments.report.empty()) {
    write_check_report(arguments.report, report);
    fmt::print("report: {}\n", arguments.report);
  }
  if (!arguments.repair.empty()) {
    const auto packed =
        data::pack_subset(report.samples, sound_samples(report), {}, arguments.repair);
    fmt::print("repaired: {} ({} images of {} identities; label_map.txt: old label to new)\n",
               arguments.repair, packed.images, packed.identities);
  }
  if (!arguments.kept.empty()) {
    if (!report.open_error.empty())
      throw data::DataError(arguments.kept +
                            ": not written, because no list of kept samples makes training accept "
                            "this set; --repair=OUT writes its valid images as a new set");
    if (report.opened_classes > data::kMostMappedClasses)
      throw data::DataError(
          fmt::format("{}: not written, because training counts {} classes in this set, more than "
                      "{} (because of a corrupted label or property file); --repair=OUT writes its "
                      "valid images as a new set",
                      arguments.kept, report.opened_classes, data::kMostMappedClasses));
    const auto set = kept_set(report);
    prune::write_index_set(arguments.kept, set);
    fmt::print("kept list: {} ({} of {} images); --data.kept={} trains on it\n", arguments.kept,
               set.kept.size(), set.num_samples, arguments.kept);
  }
}

}  // namespace

int check_command(const CommandLine& line) {
  const auto arguments = parse(line);
  if (!arguments.repair.empty()) refuse_same_folder(arguments.path, arguments.repair);
  const double start = steady_seconds();
  const auto report = check_with_progress(arguments, data::is_record_file(arguments.path));
  print_summary(report, steady_seconds() - start, arguments.options.threads);
  write_results(arguments, report);
  return report.findings.empty() && report.open_error.empty() ? 0 : 1;
}

}  // namespace diffprob::launch
