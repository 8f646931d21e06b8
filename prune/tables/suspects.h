#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// A sample whose most probable class is not its label: 32 bytes.
struct Suspect {
  std::int64_t index = 0;
  std::int32_t label = 0;
  std::int32_t suggested = 0;  ///< the most probable class, or kUnknownClass
  float nll = 0;               ///< of the label; NaN when unknown
  float top1_log_prob = 0;     ///< NaN when unknown
  enum class Dropped : std::uint8_t { kNo, kYes, kUnsaid } dropped = Dropped::kUnsaid;
  bool is_proposed = false;  ///< cleaning found it, and `suggested` is confident
};

/// The most suspicious samples seen so far, at most kMost of them. The order: falling -log p of the
/// label, that is rising self-confidence; equal ones by index; unknown ones last.
class Suspects {
 public:
  static constexpr std::size_t kMost = 1000000;
  explicit Suspects(std::size_t most = kMost) : most_(most) {}
  void add(const Suspect& suspect);
  /// In order; nothing is left.
  [[nodiscard]] std::vector<Suspect> take();

 private:
  void shorten();
  std::size_t most_;
  std::vector<Suspect> suspects_;
};

/// Each rank's suspects -> the `most` first of all on rank 0, in order, nothing elsewhere: one rank
/// after the other, so that rank 0 holds few more than it returns. Collective.
[[nodiscard]] std::vector<Suspect> gather_suspects(std::vector<Suspect> own,
                                                   dist::HostCollectives& collectives,
                                                   std::size_t most = Suspects::kMost);

/// Mispredicted samples of a table. Throws PruneError, naming `where`, without the column top1.
[[nodiscard]] std::vector<Suspect> suspects_of(const std::string& where, const ScoreTable& table);

/// Path or record key of a sample.
using DescribeSample = std::function<std::string(std::int64_t)>;
/// CSV (prune/tables/SCORES_FORMAT.md), atomic. `margin`: of the scores; unless it is 0, p of the
/// label and p of another class cannot be compared, and the margins stay empty. `describe` may be
/// empty, and so may `whole`: index of each sample in the whole set.
void write_suspects(const std::string& path, std::span<const Suspect> suspects, double margin,
                    const DescribeSample& describe, std::span<const std::int64_t> whole = {});

}  // namespace diffprob::prune
