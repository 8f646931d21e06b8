#include <array>
#include <string>

#include "prune/error.h"
#include "prune/methods/methods.h"
#include "prune/methods/row.h"

namespace diffprob::prune {

const MethodRow kNoneRow{.method = Method::kNone,
                         .name = "none",
                         .needs = "scores",
                         .what = "cleaning only",
                         .keep_ratio = MethodRow::KeepRatio::kNever};

namespace {

/// In the order of the help text.
constexpr std::array kTable = {&kDiffProbRow,     &kRandomRow, &kDynUncRow,       &kEl2nRow,
                               &kForgettingRow,   &kAumRow,    &kCcsRow,          &kBalancedRow,
                               &kBalancedEasyRow, &kDeepRow,   &kDeepDiffProbRow, &kNoneRow};

constexpr std::string_view kClean = "clean+";

}  // namespace

const MethodRow& row_of(Method method) {
  for (const MethodRow* row : kTable) {
    if (row->method == method) return *row;
  }
  throw PruneError("prune: method number " + std::to_string(static_cast<int>(method)) +
                   " has no row in the table of methods");
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const MethodRow* row : kTable) names.emplace_back(row->name);
  return names;
}

std::string method_name(Method method) {
  return row_of(method).name;
}

Method method_of(std::string_view name) {
  std::string known;
  for (const MethodRow* row : kTable) {
    if (row->name == name) return row->method;
    known += (known.empty() ? "" : ", ") + std::string(row->name);
  }
  throw PruneError("prune: unknown method '" + std::string(name) + "', expected one of " + known);
}

std::string methods_text() {
  std::string text;
  for (const MethodRow* row : kTable) {
    std::string line = "  " + std::string(row->name);
    line.resize(17, ' ');
    line += row->needs;
    line.resize(37, ' ');
    text += line + row->what + "\n";
  }
  return text;
}

bool has_keep_ratio(Method method) {
  return row_of(method).keep_ratio != MethodRow::KeepRatio::kNever;
}

bool is_drawn(Method method) {
  return row_of(method).is_drawn;
}

bool reads_labels_alone(const PruneOptions& options) {
  const MethodRow& row = row_of(options.method);
  return !options.clean && row.select != nullptr && row.key(options) == Key::kNone;
}

bool needs_dynamics(const PruneOptions& options) {
  return is_in_dynamics(row_of(options.method).key(options));
}

bool needs_full_window(const PruneOptions& options) {
  return row_of(options.method).key(options) == Key::kUncertainty;
}

void check(const PruneOptions& options) {
  const MethodRow& row = row_of(options.method);
  if (options.keep_ratio && !(*options.keep_ratio > 0 && *options.keep_ratio <= 1)) {
    throw PruneError("prune: keep_ratio is " + std::to_string(*options.keep_ratio) +
                     ", expected above 0 and at most 1");
  }
  const std::string method = std::string("prune: method ") + row.name;
  if (options.keep_ratio && row.keep_ratio == MethodRow::KeepRatio::kNever)
    throw PruneError(method + " (" + row.what + ") has no keep_ratio");
  if (!options.keep_ratio && row.keep_ratio == MethodRow::KeepRatio::kNeeded)
    throw PruneError(method + " needs a keep_ratio");
  if (options.clean) check(options.cleaning);
  row.check(options);
}

std::string full_name(const FullMethod& method) {
  const MethodRow& row = row_of(method.method);
  if (!method.clean) return row.name;
  return row.select == nullptr ? "clean" : std::string(kClean) + row.name;
}

std::string full_name(const PruneOptions& options) {
  return full_name(FullMethod{options.method, options.clean});
}

std::vector<FullMethod> full_methods_with_ratio() {
  std::vector<FullMethod> methods;
  for (const MethodRow* row : kTable) {
    if (!has_keep_ratio(row->method)) continue;
    methods.push_back({row->method, false});
    methods.push_back({row->method, true});
  }
  return methods;
}

const Floor& floor_of(const PruneOptions& options) {
  switch (options.method) {
    case Method::kDiffProb:
      return options.diffprob.floor;
    case Method::kRandom:
      return options.random.floor;
    case Method::kCcs:
      return options.ccs.floor;
    case Method::kBalanced:
    case Method::kBalancedEasy:
    case Method::kDeep:
    case Method::kDeepDiffProb:
      return options.balanced.floor;
    default:
      return options.ranked.floor;
  }
}

}  // namespace diffprob::prune
