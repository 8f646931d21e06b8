#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace diffprob::data {

/// Pairs of aligned faces with a same / not same flag, as InsightFace's .bin files hold them. Order
/// is that of the file (the folds of the protocol are contiguous).
struct VerificationSet {
  std::string name;  ///< file name without .bin: "lfw"
  /// [2 * pairs] encoded images; pair i = images[2i], images[2i + 1].
  std::vector<std::vector<std::byte>> images;
  std::vector<bool> same;  ///< [pairs]
  [[nodiscard]] std::int64_t pairs() const { return static_cast<std::int64_t>(same.size()); }
};

/// Pickle of (images, flags), protocols 0 to 5; tuple, list or array of objects wherever Python
/// takes any of them. Images are bytes, bytearrays, Python 2 str or numpy uint8 arrays; flags are
/// bool, or numbers 0 and 1 of any numpy type. Nothing in the file is ever executed: opcodes and
/// globals are an allow-list. Throws DataError.
[[nodiscard]] VerificationSet read_verification_bin(const std::string& path);

/// Writes protocol 2 with bytes items, readable by InsightFace's tools under Python 3 with
/// encoding='bytes' and ours. Atomic.
void write_verification_bin(const std::string& path, const VerificationSet& set);

}  // namespace diffprob::data
