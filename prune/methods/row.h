#pragma once

#include <nlohmann/json_fwd.hpp>

#include "prune/methods/key.h"
#include "prune/methods/selecting.h"
#include "prune/prune_options.h"

namespace diffprob::prune {

/// Everything that distinguishes one method from the others. A new method is a value of Method, a
/// file of this folder that defines its row, and that row in table.cpp.
struct MethodRow {
  enum class KeepRatio { kOptional, kNeeded, kNever };

  Method method;
  const char* name;
  const char* needs;  ///< recorded numbers, for people
  const char* what;   ///< one line
  KeepRatio keep_ratio = KeepRatio::kOptional;
  bool is_drawn = false;  ///< by seed
  /// Number of each sample that the method works on.
  Key (*key)(const PruneOptions&) = [](const PruneOptions&) { return Key::kNone; };
  /// Returns true if samples with the smallest numbers come first.
  bool (*smallest_first)(const PruneOptions&) = [](const PruneOptions&) { return false; };
  /// Throws PruneError when the method's own options are outside their ranges.
  void (*check)(const PruneOptions&) = [](const PruneOptions&) {};
  /// Adds the method's own options to those of summary.json.
  void (*describe)(const PruneOptions&, nlohmann::ordered_json&) = [](const PruneOptions&,
                                                                      nlohmann::ordered_json&) {};
  /// Decides every slot. Collective. Null: every sample that cleaning leaves is kept.
  void (*select)(Selecting&) = nullptr;
};

extern const MethodRow kDiffProbRow;
extern const MethodRow kRandomRow;
extern const MethodRow kDynUncRow;
extern const MethodRow kEl2nRow;
extern const MethodRow kForgettingRow;
extern const MethodRow kAumRow;
extern const MethodRow kCcsRow;
extern const MethodRow kBalancedRow;
extern const MethodRow kBalancedEasyRow;
extern const MethodRow kDeepRow;
extern const MethodRow kDeepDiffProbRow;
extern const MethodRow kNoneRow;

[[nodiscard]] const MethodRow& row_of(Method method);

}  // namespace diffprob::prune
