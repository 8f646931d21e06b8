#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/tables/sample_range.h"

namespace diffprob::launch {

/// What the records of some work over all samples depend on: parts of another one are not used.
struct PartsPlan {
  std::int64_t num_samples = 0;
  std::int64_t record_bytes = 0;
  nlohmann::json header;  ///< object: format, format_version and whatever else they depend on
};

/// Records of all samples on disk, part by part: those of some consecutive samples, one file per
/// rank (launch/score/SCORE_PARTS_FORMAT.md). A part counts when the files of all ranks that wrote
/// it are there and whole; any number of ranks continues from it. All ranks see the folder.
class SampleParts {
 public:
  /// Collective. Makes the folder and looks through what an earlier run has left. Damaged parts and
  /// those of another plan are named in a warning and renamed to *.damaged, *.foreign; what a
  /// killed run was writing is removed.
  SampleParts(std::string folder, PartsPlan plan, dist::HostCollectives& control);

  /// Samples that no whole part has, ascending. The same on every rank.
  [[nodiscard]] std::vector<prune::SampleRange> missing() const;
  /// Samples in whole parts.
  [[nodiscard]] std::int64_t samples_done() const;
  /// This rank's records of missing samples, any order. Every rank calls it with the same range;
  /// waits for nobody.
  void write(prune::SampleRange samples, std::span<const std::byte> records);

  /// Records of one file of a part, and the name of the file.
  using TakePart = std::function<void(prune::SampleRange part, std::span<const std::byte> records,
                                      const std::string& file)>;
  /// Hands the records over on rank 0, one file at a time, parts by their first sample; nothing
  /// elsewhere. Collective. Throws c10::Error on a file that is not whole any more, on rank 0, and
  /// whatever `take` throws.
  void read_all(const TakePart& take);
  /// Collective. Takes the parts away, and the folder unless something else is in it.
  void remove();

 private:
  /// Samples [first, last), written by so many ranks.
  struct Part {
    std::int64_t first = 0;
    std::int64_t last = 0;
    int world_size = 0;
  };
  [[nodiscard]] std::string path(const Part& part, int rank) const;
  [[nodiscard]] std::string header(const Part& part, int rank, std::int64_t records) const;
  [[nodiscard]] std::vector<Part> found() const;
  /// Records of one file, or c10::Error: damaged. `foreign`: why it is of another run, or "".
  [[nodiscard]] std::string read(const Part& part, int rank, std::string& foreign) const;
  enum class Verdict : std::int32_t { kWhole, kIncomplete, kForeign, kDamaged };
  [[nodiscard]] Verdict judge(const Part& part) const;
  void set_aside(const Part& part, Verdict verdict) const;

  std::string folder_;
  PartsPlan plan_;
  dist::HostCollectives& control_;
  std::vector<Part> whole_;  ///< by first sample until write() adds some; the same on every rank
};

}  // namespace diffprob::launch
