#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "prune/error.h"
#include "prune/lists/index_set.h"
#include "prune/lists/list_kinds.h"

namespace diffprob::prune {

/// How the numbers of a list count samples.
enum class IndexBase {
  kIndex,  ///< sample index, from 0
  kKey,  ///< record key of an InsightFace layout: index + 1; in kComma, kAdaFace, kLines, kNpyIndex
         ///< and kCvlface alone
};

/// A list that cannot be read or written without something that only the caller can give. The
/// message says what is missing; a program adds how its user gives it.
class ListNeedsMore : public PruneError {
 public:
  enum class What {
    kMeaning,      ///< whether the list names kept or dropped samples
    kSampleCount,  ///< N of the data set
    kNames         ///< image file of each sample
  };
  ListNeedsMore(What missing, const std::string& message)
      : PruneError(message), missing_(missing) {}
  [[nodiscard]] What missing() const noexcept { return missing_; }

 private:
  What missing_;
};

struct ListOptions {
  std::optional<ListKind> kind;                ///< none: by content
  ListMeaning meaning = ListMeaning::kUnsaid;  ///< what the user says; must not contradict the kind
  std::int64_t num_samples =
      0;  ///< N of the data set; 0: unknown, which dropped lists cannot do with
  IndexBase base = IndexBase::kIndex;
  const std::vector<std::string>* names =
      nullptr;  ///< [N] image file of each sample, for kNames and kMsCeleb
};

/// Reads a list of any kind as the set of kept samples (increasing; method "list", no label map and
/// no reasons, but for kIndexSet). Throws PruneError: anything malformed, an index twice or out of
/// range, a mask of another length than N, a name that no sample or two samples have, and a list of
/// which nobody says whether it names kept or dropped samples. The last one, and what else options
/// can give, is a ListNeedsMore.
[[nodiscard]] IndexSet read_list(const std::string& path, const ListOptions& options);

/// Writes `set` in that form, atomically. kComma, kLines, kNpyIndex, kNpyMask and kNames get the
/// kept samples. `base` and `names` as above; set.num_samples must be known where dropped samples
/// or a mask are written. Throws PruneError.
void write_list(const std::string& path, ListKind kind, const IndexSet& set,
                const ListOptions& options = {});

}  // namespace diffprob::prune
