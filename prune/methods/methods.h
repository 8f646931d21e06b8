#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "prune/prune_options.h"

namespace diffprob::prune {

/// Names of all methods, in the order of the help text.
[[nodiscard]] std::vector<std::string> method_names();
[[nodiscard]] std::string method_name(Method method);
/// Throws PruneError, which lists the known names, on an unknown one.
[[nodiscard]] Method method_of(std::string_view name);
/// Table of names, recorded numbers that they need and descriptions, for a terminal.
[[nodiscard]] std::string methods_text();

/// Returns false for a method that keeps whatever cleaning leaves.
[[nodiscard]] bool has_keep_ratio(Method method);
/// Returns true if the samples that a method keeps depend on the seed.
[[nodiscard]] bool is_drawn(Method method);
/// Returns true if a pruning needs no recorded numbers: a method that works on labels, without
/// cleaning.
[[nodiscard]] bool reads_labels_alone(const PruneOptions& options);
/// Returns true if the pruning reads a dynamics file.
[[nodiscard]] bool needs_dynamics(const PruneOptions& options);
/// Returns true if the pruning needs more recorded epochs than the window of the dynamics.
[[nodiscard]] bool needs_full_window(const PruneOptions& options);
/// Throws PruneError on options outside their ranges.
void check(const PruneOptions& options);

/// "diffprob", "clean+diffprob", "clean" (method none), ...
[[nodiscard]] std::string full_name(const FullMethod& method);
[[nodiscard]] std::string full_name(const PruneOptions& options);
/// Methods that have a keep_ratio, each without cleaning and with it.
[[nodiscard]] std::vector<FullMethod> full_methods_with_ratio();

/// The floor of the method that is used.
[[nodiscard]] const Floor& floor_of(const PruneOptions& options);

}  // namespace diffprob::prune
