#pragma once

#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::launch {

/// Names of the people of a data set, where it has them.
struct IdentityNames {
  std::vector<std::string> names;  ///< [identities], "" for one without a name; empty: none at all
  std::string source;              ///< the file, or "folders"
  std::string why_none;            ///< when `names` is empty
};

/// Names of the identities of an open set. A set in .rec files has them in the folders of the paths
/// in train.lst, or in identities.txt, whose line k (from 0) is the name of label k; a folder or a
/// list has them in the last folder of its images' paths. Names that are mere numbers say nothing
/// about people and do not count. Samples of a part of a set keep the names of the whole. Throws
/// data::DataError that names file and line.
[[nodiscard]] IdentityNames identity_names(const data::Dataset& dataset);

}  // namespace diffprob::launch
