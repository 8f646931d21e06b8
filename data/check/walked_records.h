#pragma once

#include <vector>

#include "data/check/duplicate_search.h"
#include "data/check/finding.h"
#include "data/check/image_check.h"
#include "data/check/layout_check.h"
#include "data/check/record_walk.h"
#include "data/records/index.h"

namespace diffprob::data {

/// What walking a .rec and decoding its images gave, in no order; keys are the ids of the records.
struct WalkedRecords {
  std::vector<RecordEntry> images;
  std::vector<RangeRecord> ranges;
  std::vector<DigestedImage> digests;  // sample: the offset
  std::vector<Finding> findings;

  void append(const WalkedRecords& more) {
    const auto add = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    add(images, more.images);
    add(ranges, more.ranges);
    add(digests, more.digests);
    add(findings, more.findings);
  }
  void clear() {
    images.clear();
    ranges.clear();
    digests.clear();
    findings.clear();
  }
};

/// Looks at one record after the other. One object a thread.
class RecordCheck {
 public:
  /// `image_size`: as in CheckOptions.
  explicit RecordCheck(int image_size) : image_check_(image_size) {}
  /// Appends what the record is, and what is wrong with it.
  void check(const RecordBlock::Record& record, WalkedRecords& out);

 private:
  ImageCheck image_check_;
};

}  // namespace diffprob::data
