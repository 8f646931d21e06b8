#pragma once

#include <memory>
#include <string>

#include "data/sets/dataset.h"
#include "launch/config/config.h"

namespace diffprob::launch {

/// The part of a data set that is trained on: labels as data.labels says, samples as data.kept.
[[nodiscard]] std::shared_ptr<const data::Dataset> trained_part(
    const Config& config, const std::shared_ptr<const data::Dataset>& whole);

/// One warning that says how many classes of the head have no images, the first one, the memory
/// they cost and how to leave them out; "" when every class has images.
[[nodiscard]] std::string empty_class_warning(const Config& config, const data::Dataset& dataset,
                                              const std::string& name);

/// Throws ConfigError unless at least two identities have images: a softmax over one class has
/// nothing to learn.
void check_identities(const data::Dataset& dataset, const std::string& name);

}  // namespace diffprob::launch
