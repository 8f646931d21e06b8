#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::prune {

/// What the dictionary in front of a .npy array says.
struct NpyHeader {
  std::string descr;  ///< "<f4", "|b1", ...
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`: the three keys, each once,
/// in any order, nothing else. Runs nothing. Throws PruneError that names `where` and what was
/// expected; a list as descr (records) has a message of its own.
[[nodiscard]] NpyHeader parse_npy_header(const std::string& where, std::string_view text);
/// The same text, without padding.
[[nodiscard]] std::string npy_header_text(const NpyHeader& header);

}  // namespace diffprob::prune
