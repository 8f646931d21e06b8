#include <algorithm>
#include <filesystem>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include "data/check/check_dataset.h"
#include "data/check/duplicate_search.h"
#include "data/check/found_records.h"
#include "data/check/identity_gaps.h"
#include "data/check/index_scan.h"
#include "data/check/layout_check.h"
#include "data/check/record_walk.h"
#include "data/check/walked_records.h"
#include "data/error.h"
#include "data/files/worker_threads.h"

namespace diffprob::data {
namespace {

constexpr std::uint32_t kLargestKey = std::numeric_limits<std::uint32_t>::max();

class RecordFileCheck {
 public:
  RecordFileCheck(const std::string& path, const CheckOptions& options)
      : path_(path), options_(options), records_(path) {}

  CheckReport run() {
    const auto idx_path = std::filesystem::path(path_).replace_extension(".idx");
    has_index_ = std::filesystem::exists(idx_path);
    if (has_index_) index_ = scan_index(idx_path.string(), records_.file().size());
    walk();
    std::ranges::sort(walked_.images, {}, &RecordEntry::offset);
    std::ranges::sort(walked_.ranges, {}, &RangeRecord::offset);
    std::ranges::sort(walked_.findings, {}, &Finding::offset);
    if (has_index_)
      join_index();
    else
      guess_lost_keys();
    number_samples();
    return conclude();
  }

 private:
  void walk() {
    std::vector<std::int64_t> listed;
    listed.reserve(index_.lines.size());
    for (const auto& line : index_.lines) listed.push_back(line.offset);
    walked_.images.reserve(listed.size());
    walked_.digests.reserve(listed.size());
    RecordWalk walk(records_.file(), listed);
    run_on_threads(options_.threads, [&] {
      RecordCheck check(options_.image_size);
      RecordBlock block;
      WalkedRecords found;
      while (walk.next(block)) {
        found.clear();
        found.findings = std::move(block.findings);
        for (const auto& record : block.records) check.check(record, found);
        collect(found, block.end);
      }
    });
  }

  void collect(const WalkedRecords& found, std::int64_t end) {
    const std::lock_guard lock(mutex_);
    walked_.append(found);
    walked_to_ = std::max(walked_to_, end);
    if (options_.progress)
      options_.progress({walked_to_, records_.file().size(),
                         static_cast<std::int64_t>(walked_.images.size()),
                         static_cast<std::int64_t>(walked_.findings.size())});
  }

  [[nodiscard]] bool is_lost(const Finding& finding) const {
    return finding.kind == FindingKind::kRecord;
  }

  /// Gives records the keys of the .idx, and lists where the two disagree.
  void join_index() {
    std::ranges::stable_sort(index_.findings, {}, &Finding::offset);
    std::vector<bool> used(index_.lines.size(), false);
    std::vector<Finding> other_ids;
    const auto records = walked_.images.size() + walked_.ranges.size();
    const auto join = [&](auto& list) {
      std::size_t at = 0;
      for (auto& record : list) {
        while (at < index_.lines.size() && index_.lines[at].offset < record.offset) ++at;
        if (at == index_.lines.size() || index_.lines[at].offset != record.offset) {
          report_unlisted(record.offset, record.key);
          continue;
        }
        used[at] = true;
        const auto key = index_.lines[at].key;
        if (record.key != key && other_ids.size() <= records / 4)
          other_ids.push_back({.kind = FindingKind::kIndex,
                               .key = key,
                               .offset = record.offset,
                               .message = "key " + std::to_string(key) +
                                          " in the .idx, but the record itself says " +
                                          std::to_string(record.key)});
        record.key = key;
      }
    };
    join(walked_.images);
    join(walked_.ranges);
    // Some writers leave other ids in the records: only a few that differ are a sign of damage.
    if (other_ids.size() <= records / 4)
      extra_.insert(extra_.end(), other_ids.begin(), other_ids.end());
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i]) resolve_unused(index_.lines[i]);
    extra_.insert(extra_.end(), index_.findings.begin(), index_.findings.end());
  }

  void report_unlisted(std::int64_t offset, std::uint32_t id) {
    if (!std::ranges::binary_search(index_.findings, offset, {}, &Finding::offset))
      extra_.push_back({.kind = FindingKind::kIndex,
                        .key = id,
                        .offset = offset,
                        .message = "a record that is missing from the .idx"});
  }

  /// A line of the .idx at whose offset no sound record is: that of a broken one, or of none.
  void resolve_unused(const IndexLine& line) {
    const auto [first, last] =
        std::ranges::equal_range(walked_.findings, line.offset, {}, &Finding::offset);
    bool lost = false;
    for (auto finding = first; finding != last; ++finding) {
      if (!is_lost(*finding)) continue;
      finding->key = line.key;
      lost = true;
    }
    lost_keys_.push_back(line.key);
    if (!lost)
      extra_.push_back({.kind = FindingKind::kIndex,
                        .key = line.key,
                        .offset = line.offset,
                        .message = "the .idx points to offset " + std::to_string(line.offset) +
                                   ", where no record starts"});
  }

  /// Without an .idx: a broken record between keys k - 1 and k + 1 has key k.
  void guess_lost_keys() {
    std::vector<std::pair<std::int64_t, std::uint32_t>> keys;  // offset, key
    for (const auto& image : walked_.images) keys.emplace_back(image.offset, image.key);
    for (const auto& range : walked_.ranges) keys.emplace_back(range.offset, range.key);
    std::ranges::sort(keys);
    for (auto& finding : walked_.findings) {
      if (!is_lost(finding)) continue;
      const auto behind =
          std::ranges::lower_bound(keys, std::pair(finding.offset, std::uint32_t{0}));
      if (behind == keys.begin() || behind == keys.end()) continue;
      const std::int64_t before = std::prev(behind)->second;
      if (behind->second != before + 2) continue;
      finding.key = before + 1;
      lost_keys_.push_back(finding.key);
    }
    report_shared_keys(keys);
  }

  void report_shared_keys(std::vector<std::pair<std::int64_t, std::uint32_t>>& keys) {
    std::ranges::sort(keys, {}, [](const auto& k) { return std::pair(k.second, k.first); });
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].second == kLargestKey) {
        extra_.push_back({.kind = FindingKind::kIndex,
                          .offset = keys[i].first,
                          .message = "its id cannot be a key; an .idx file is needed"});
      } else if (i > 0 && keys[i].second == keys[i - 1].second) {
        extra_.push_back({.kind = FindingKind::kIndex,
                          .key = keys[i].second,
                          .offset = keys[i].first,
                          .message = "key " + std::to_string(keys[i].second) +
                                     " is also the key of the record at offset " +
                                     std::to_string(keys[i - 1].first) +
                                     " (without an .idx keys are the ids in the records)"});
      }
    }
  }

  /// Samples are images in the order of keys. Findings and digests, which know offsets, get sample
  /// numbers.
  void number_samples() {
    auto& images = walked_.images;
    if (images.size() >= kNoLabel) throw DataError(path_ + ": more than 2^32 images");
    std::vector<std::uint32_t> order(images.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return images[i].key; });
    std::vector<std::uint32_t> sample(images.size());
    for (std::size_t i = 0; i < order.size(); ++i) sample[order[i]] = static_cast<std::uint32_t>(i);
    walked_.findings.insert(walked_.findings.end(), extra_.begin(), extra_.end());
    for (auto& finding : walked_.findings) {
      const auto at = std::ranges::lower_bound(images, finding.offset, {}, &RecordEntry::offset);
      if (at == images.end() || at->offset != finding.offset) continue;
      finding.index = sample[static_cast<std::size_t>(at - images.begin())];
      if (finding.key < 0) finding.key = at->key;
      if (finding.label < 0 && at->label != kNoLabel) finding.label = at->label;
    }
    std::ranges::sort(walked_.digests, {}, &DigestedImage::sample);
    std::size_t at = 0;
    for (auto& digest : walked_.digests) {
      while (images[at].offset != digest.sample) ++at;
      digest.sample = sample[at];
    }
    std::ranges::stable_sort(images, {}, &RecordEntry::key);
    std::ranges::stable_sort(walked_.ranges, {}, &RangeRecord::key);
  }

  CheckReport conclude() {
    CheckReport report;
    report.bytes = records_.file().size();
    std::ranges::sort(lost_keys_);
    const auto lost_without_key = std::ranges::count_if(
        walked_.findings, [&](const Finding& f) { return is_lost(f) && f.key < 0; });
    report.num_classes =
        check_layout({walked_.images, walked_.ranges, lost_keys_, lost_without_key,
                      std::filesystem::path(path_).parent_path().string(), options_.image_size},
                     walked_.findings);
    report.samples = std::make_shared<FoundRecords>(path_, walked_.images, report.num_classes);
    leave_out_mislabelled();
    std::vector<Finding> copies;
    find_duplicates(walked_.digests, *report.samples, copies);
    for (auto& copy : copies) {
      const auto& image = walked_.images[static_cast<std::size_t>(copy.index)];
      copy.key = image.key;
      copy.offset = image.offset;
      walked_.findings.push_back(std::move(copy));
    }
    report.findings = std::move(walked_.findings);
    return report;
  }

  /// A sample that goes for its label is no reason for another to go.
  void leave_out_mislabelled() {
    std::vector<std::int64_t> mislabelled;
    for (const auto& finding : walked_.findings)
      if (finding.kind == FindingKind::kLabel) mislabelled.push_back(finding.index);
    std::ranges::sort(mislabelled);
    std::erase_if(walked_.digests, [&](const DigestedImage& d) {
      return std::ranges::binary_search(mislabelled, d.sample);
    });
  }

  std::string path_;
  const CheckOptions& options_;
  RecordReader records_;
  bool has_index_ = false;
  ScannedIndex index_;
  std::mutex mutex_;
  WalkedRecords walked_;
  std::int64_t walked_to_ = 0;
  std::vector<Finding> extra_;  // of the .idx
  std::vector<std::int64_t> lost_keys_;
};

}  // namespace

CheckReport check_record_file(const std::string& rec_path, const CheckOptions& options) {
  return RecordFileCheck(rec_path, options).run();
}

}  // namespace diffprob::data
