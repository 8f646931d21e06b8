#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/check/finding.h"

namespace diffprob::data {

/// A line of an .idx.
struct IndexLine {
  std::int64_t offset;
  std::uint32_t key;
};

/// What of an .idx can be understood, and what cannot.
struct ScannedIndex {
  std::vector<IndexLine> lines;   ///< by offset; every key and every offset once
  std::vector<Finding> findings;  ///< kIndex: lines that are not `key<TAB>offset`, offsets outside
                                  ///< the .rec, keys or offsets twice
};

/// Reads an .idx and goes on behind bad lines. `rec_bytes`: size of the .rec. Of two lines with one
/// key the first stays, of two with one offset that of the lower key. Throws DataError when the
/// file cannot be read at all.
[[nodiscard]] ScannedIndex scan_index(const std::string& idx_path, std::int64_t rec_bytes);

}  // namespace diffprob::data
