#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace diffprob::launch {

/// Images that show one photograph, as duplicates.csv and leaks.csv have them.
struct CopyPair {
  std::string by;                ///< pixels, embedding or both
  double likeness = 0;           ///< similarity of the pixels, or cosine where they found nothing
  std::int64_t index = 0;        ///< in the training set
  std::string name;              ///< what the set says of it
  std::int64_t other_index = 0;  ///< in the training set; of a leak -1
  std::string other_name;        ///< of a leak the name of the test image
};

/// What is known of a kind of pairs.
struct CopyPairs {
  std::int64_t count = 0;
  std::vector<CopyPair> shown;  ///< those that are least alike, the least first
};

/// By kind: "near" (one identity), "across" (two) and "leak". Reads the file line by line. Throws
/// data::DataError, which names file and line, on what is no such file.
[[nodiscard]] std::map<std::string, CopyPairs> read_copies(const std::string& path,
                                                           std::size_t shown_of_a_kind);

}  // namespace diffprob::launch
