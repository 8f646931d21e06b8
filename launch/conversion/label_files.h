#pragma once

#include <string>

#include "launch/conversion/arguments.h"

namespace diffprob::launch {

/// Returns true if `convert` has to do with labels alone: label maps, label dictionaries, lists of
/// labels.
[[nodiscard]] bool converts_labels(const std::string& from, const std::string& to,
                                   const ConversionArguments& arguments);
/// From a label map, an index set, a list with its data set; or the labels of a score table, of
/// training dynamics, of a data set or of a list. Returns the exit code; throws PruneError,
/// DataError.
[[nodiscard]] int convert_labels(const std::string& from, const std::string& to,
                                 const ConversionArguments& arguments);

/// Labels of every sample. Throws DataError.
[[nodiscard]] prune::SampleLabels labels_of(const data::Dataset& dataset);

}  // namespace diffprob::launch
