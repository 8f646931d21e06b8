#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace diffprob::prune {

/// A change of labels that the numbers suggest and a person should look at.
struct Proposal {
  enum class Kind : std::uint8_t {
    kRelabel,  ///< sample `index` belongs to identity `proposed`
    kMerge,    ///< identities `identity` and `proposed` are one person; `proposed` has more samples
    kSplit,    ///< sample `index` is one of those of `identity` that are of another person
  };
  static constexpr std::int64_t kNone = -1;

  Kind kind = Kind::kRelabel;
  std::int64_t index = kNone;     ///< of a sample; kNone for kMerge
  std::int64_t identity = kNone;  ///< label now
  std::int64_t proposed = kNone;  ///< kNone for kSplit: a new identity
  double probability = std::numeric_limits<double>::quiet_NaN();  ///< kRelabel: of `proposed`
  double log_margin = std::numeric_limits<double>::quiet_NaN();  ///< kRelabel: log p - log p(label)
  double agreement = std::numeric_limits<double>::quiet_NaN();  ///< of the two groups (agreement.h)
  std::int64_t samples = 1;  ///< whose label changes with all lines of this merge or split
};

/// "relabel", "merge", "split".
[[nodiscard]] const char* proposal_name(Proposal::Kind kind);

}  // namespace diffprob::prune
