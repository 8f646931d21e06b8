#pragma once

#include <string>
#include <vector>

namespace diffprob::data {

/// Name of a verification set: its file without .bin.
[[nodiscard]] std::string set_name(const std::string& path);

/// Makes names of files or folders distinct: those that several have get as many parent folders in
/// front ("agedb/test", "cfp/test") as tell them apart. [n] paths and names -> [n] names. Throws
/// DataError when one path is given twice.
[[nodiscard]] std::vector<std::string> distinct_names(const std::vector<std::string>& paths,
                                                      std::vector<std::string> names);
/// Names of verification sets that are used together.
[[nodiscard]] std::vector<std::string> set_names(const std::vector<std::string>& paths);

}  // namespace diffprob::data
