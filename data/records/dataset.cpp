#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "data/error.h"
#include "data/files/sha256.h"
#include "data/records/index.h"
#include "data/records/reader.h"
#include "data/records/record_io.h"
#include "data/records/saved_index.h"
#include "data/records/table.h"
#include "data/sets/class_count.h"

namespace diffprob::data {
namespace {

/// Stands for the label of a record without an image (header, identity). Above every label.
constexpr std::uint32_t kNoImage = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kReadAhead = 512;

std::string name_record(const RecordReader& records, const RecordEntry& entry) {
  return records.file().name() + " record " + std::to_string(entry.key) + " (offset " +
         std::to_string(entry.offset) + ")";
}

/// Reads the heads of all records once, in the order of the file.
class HeadScan {
 public:
  HeadScan(const RecordReader& records, std::vector<RecordEntry>& entries)
      : records_(records), entries_(entries) {}

  /// Says now and then how many bytes of the file are passed.
  void run(const std::function<void(std::int64_t)>& passed) {
    std::int64_t expected = 0;
    scalar_labels_ = has_scalar_labels_mark();
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (i % kReadAhead == 0) {
        read_ahead(i);
        if (passed) passed(expected);
      }
      if (entries_[i].offset != expected) fail_gap(i, expected);
      expected = scan(entries_[i]);
    }
    if (expected != records_.file().size())
      throw DataError(records_.file().path() + ": continues at offset " + std::to_string(expected) +
                      ", after the last record of its .idx (the .idx is truncated; without it the "
                      ".rec is scanned)");
  }

  /// Header record of the InsightFace layout: first identity key = images + 1.
  [[nodiscard]] const std::optional<float>& first_identity_key() const noexcept {
    return first_identity_key_;
  }
  [[nodiscard]] Sha256& digest() noexcept { return digest_; }

 private:
  /// Heads lie some 10 KB apart: without the hint each would be a separate wait for the disk.
  void read_ahead(std::size_t from) const {
    const auto end = std::min(entries_.size(), from + 2 * kReadAhead);
    for (std::size_t i = from == 0 ? 0 : std::min(entries_.size(), from + kReadAhead); i < end; ++i)
      records_.file().will_need(entries_[i].offset, 64);
  }

  [[noreturn]] void fail_gap(std::size_t i, std::int64_t expected) const {
    const auto where = records_.file().path() + ": record " + std::to_string(entries_[i].key);
    if (i > 0 && entries_[i].offset == entries_[i - 1].offset)
      throw DataError(where + " and record " + std::to_string(entries_[i - 1].key) +
                      " have the same offset in the .idx, " + std::to_string(entries_[i].offset) +
                      index_remedy(records_));
    throw DataError(
        where + " is at offset " + std::to_string(entries_[i].offset) +
        " according to the .idx, but a record ends at offset " + std::to_string(expected) +
        " (records missing from the .idx, or an .idx of another file)" + index_remedy(records_));
  }

  [[nodiscard]] bool has_scalar_labels_mark() const {
    const auto header = std::ranges::find(entries_, 0u, &RecordEntry::key);
    return header != entries_.end() && records_.head(header->offset).id2 == kScalarLabelsMark;
  }

  /// A set with scalar labels has the fingerprint that it would have with two labels a record: a
  /// set that is packed again belongs to the scores and checkpoints of its older form.
  void digest(const RecordEntry& entry, const RecordHead& head) {
    const bool shorter = scalar_labels_ && head.flag == 0;
    const std::int64_t located[] = {entry.key, entry.offset + missing_,
                                    head.payload_length + (shorter ? kTwoLabelBytes : 0),
                                    entry.label};
    digest_.update(std::as_bytes(std::span(located)));
    if (shorter) missing_ += kTwoLabelBytes;
  }

  std::int64_t scan(RecordEntry& entry) {
    const auto head = records_.head(entry.offset);
    const bool without_image = head.image_length() == 0;
    if (without_image && head.flag != 2)
      throw DataError(name_record(records_, entry) + ": no image bytes");
    if (without_image && entry.key == 0) first_identity_key_ = head.labels[0];
    entry.label = kNoImage;
    if (!without_image && !whole_label(head.labels[0], entry.label))
      throw DataError(name_record(records_, entry) + ": label " + std::to_string(head.labels[0]) +
                      " is not a whole number from 0 to 2147483647");
    digest(entry, head);
    return head.end;
  }

  const RecordReader& records_;
  std::vector<RecordEntry>& entries_;
  std::optional<float> first_identity_key_;
  bool scalar_labels_ = false;
  std::int64_t missing_ =
      0;  // bytes of labels that the records so far would have in the older form
  Sha256 digest_;
};

void check_keys(const RecordReader& records, const std::vector<RecordEntry>& entries) {
  const auto twice = std::ranges::adjacent_find(entries, {}, &RecordEntry::key);
  if (twice == entries.end()) return;
  throw DataError(records.file().path() + ": key " + std::to_string(twice->key) + " at offsets " +
                  std::to_string(twice->offset) + " and " + std::to_string((twice + 1)->offset) +
                  "; keys must be unique (without an .idx they are the ids in the records)");
}

/// Images are the records with image bytes; in the InsightFace layout they must be keys 1..N. The
/// header's own N is compared only while float32 can hold it: beyond, the keys are the better
/// witness.
void check_layout(const RecordReader& records, const std::vector<RecordEntry>& images,
                  const HeadScan& scan, std::size_t without_image) {
  const auto& path = records.file().path();
  const auto count = static_cast<std::int64_t>(images.size());
  if (count == 0) throw DataError(path + ": no images");
  if (!scan.first_identity_key().has_value()) {
    if (without_image > 0)
      throw DataError(path + ": " + std::to_string(without_image) +
                      " records without an image, but no header record under key 0 (InsightFace "
                      "layout with a missing header?)");
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const auto key = images[static_cast<std::size_t>(i)].key;
    if (key != i + 1)
      throw DataError(path + ": InsightFace layout, image " + std::to_string(i + 1) +
                      " expected, but the next record is " + std::to_string(key));
  }
  const float announced = *scan.first_identity_key();
  if (count + 1 < kExactFloats && announced != static_cast<float>(count + 1))
    throw DataError(path + ": the header record says that identities start at key " +
                    std::to_string(announced) + ", but there are " + std::to_string(count) +
                    " images");
}

class RecordDataset final : public Dataset {
 public:
  RecordDataset(const std::string& path, std::int64_t least_indexed_bytes,
                const HeadProgress& progress)
      : records_(path) {
    const std::filesystem::path rec(path);
    const auto announced = read_property(rec.parent_path().string());
    const std::string idx_path = std::filesystem::path(rec).replace_extension(".idx").string();
    if (records_.file().size() < least_indexed_bytes) {
      opened_ = read_records(idx_path, announced, progress);
      return;
    }
    const IndexedFiles files = indexed_files(path, idx_path, announced);
    if (auto saved = read_saved_index(records_, files)) {
      opened_ = std::move(*saved);
      return;
    }
    opened_ = read_records(idx_path, announced, progress);
    save_index(path, files, opened_);
  }

  std::int64_t size() const override { return opened_.table.size(); }
  std::int64_t num_classes() const override { return opened_.num_classes; }
  std::int64_t label(std::int64_t index) const override { return entry(index).label; }
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override {
    records_.read_image(entry(index).offset, bytes);
  }
  std::optional<std::int64_t> encoded_bytes(std::int64_t index) const override {
    return records_.head(entry(index).offset).image_length();
  }
  std::string describe(std::int64_t index) const override {
    return name_record(records_, entry(index));
  }
  std::string folder() const override {
    return std::filesystem::path(records_.file().path()).parent_path().string();
  }
  std::string fingerprint() const override { return opened_.fingerprint; }

 private:
  RecordEntry entry(std::int64_t index) const {
    if (index < 0 || index >= size())
      throw DataError(records_.file().path() + ": sample " + std::to_string(index) + " of " +
                      std::to_string(size()));
    return opened_.table[index];
  }

  /// Reads the head of every record, once to find them when there is no .idx, and once for labels.
  SavedIndex read_records(const std::string& idx_path, std::optional<std::int64_t> announced,
                          const HeadProgress& progress) const {
    const bool indexed = std::filesystem::exists(idx_path);
    const std::int64_t bytes = records_.file().size();
    const auto passed_after = [&](std::int64_t before) -> std::function<void(std::int64_t)> {
      if (!progress) return {};
      const std::int64_t total = indexed ? bytes : 2 * bytes;
      return [&, before, total](std::int64_t passed) {
        progress(records_.file().path(), before + passed, total);
      };
    };
    auto entries =
        indexed ? read_record_index(idx_path, records_) : scan_records(records_, passed_after(0));
    HeadScan scan(records_, entries);
    scan.run(passed_after(indexed ? 0 : bytes));
    std::ranges::sort(entries, {}, &RecordEntry::key);
    check_keys(records_, entries);
    const auto without_image =
        std::erase_if(entries, [](const RecordEntry& entry) { return entry.label == kNoImage; });
    check_layout(records_, entries, scan, without_image);
    SavedIndex opened{RecordTable(entries), count_classes(entries, announced), ""};
    scan.digest().update("records of images");
    scan.digest().update(opened.table.size());
    scan.digest().update(opened.num_classes);
    opened.fingerprint = scan.digest().hex();
    return opened;
  }

  std::int64_t count_classes(const std::vector<RecordEntry>& entries,
                             std::optional<std::int64_t> announced) const {
    const auto& largest = *std::ranges::max_element(entries, {}, &RecordEntry::label);
    const std::int64_t classes = std::int64_t{largest.label} + 1;
    if (announced.has_value() && *announced < classes)
      throw DataError(name_record(records_, largest) + ": label " + std::to_string(largest.label) +
                      ", but the property file says " + std::to_string(*announced) + " classes");
    return announced.value_or(classes);
  }

  RecordReader records_;
  SavedIndex opened_;
};

/// The .rec itself, or where it would be in a folder.
std::filesystem::path record_path(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? std::filesystem::path(path) / "train.rec"
                                                    : std::filesystem::path(path);
}

}  // namespace

bool is_record_file(const std::string& path) {
  const std::filesystem::path rec = record_path(path);
  std::error_code error;
  return rec.extension() == ".rec" && (rec == path || std::filesystem::exists(rec, error));
}

bool lacks_index(const std::string& path) {
  if (!is_record_file(path)) return false;
  const std::filesystem::path rec = record_path(path);
  std::error_code error;
  const auto bytes = std::filesystem::file_size(rec, error);
  return !error && bytes >= static_cast<std::uintmax_t>(kLeastIndexedBytes) &&
         !std::filesystem::exists(saved_index_path(rec.string()), error);
}

std::shared_ptr<const Dataset> open_record_file(const std::string& rec_path,
                                                std::int64_t least_indexed_bytes,
                                                const HeadProgress& progress) {
  return std::make_shared<RecordDataset>(rec_path, least_indexed_bytes, progress);
}

}  // namespace diffprob::data
