#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// Record files of at least so many bytes have a saved index: smaller ones are opened in moments.
inline constexpr std::int64_t kLeastIndexedBytes = std::int64_t{256} << 20;

/// Called now and then while the heads of all records are read: bytes of the .rec that are passed,
/// and of how many. Without an .idx the file is passed twice, and `total` is twice its size.
using HeadProgress =
    std::function<void(const std::string& rec_path, std::int64_t done, std::int64_t total)>;

/// A .rec file as InsightFace or im2rec writes it (data/FORMATS.md). The .idx beside it is used
/// when there (in any order), else the file is scanned. Header and identity records of the
/// InsightFace layout are recognised and are not samples; sample i is the i-th image in key order.
/// Labels are read once, on opening; of a file of at least `least_indexed_bytes`, what was found is
/// saved beside it and read by the next opening in their place (data/records/saved_index.h). Reads
/// are pread: thread-safe, no limits trusted from the file. Throws DataError.
[[nodiscard]] std::shared_ptr<const Dataset> open_record_file(
    const std::string& rec_path, std::int64_t least_indexed_bytes = kLeastIndexedBytes,
    const HeadProgress& progress = {});

/// Returns true if `path` is a .rec file, or a folder with train.rec.
[[nodiscard]] bool is_record_file(const std::string& path);

/// Returns true if `path` is a large record file without a saved index: opening it reads the head
/// of every record, minutes for tens of millions.
[[nodiscard]] bool lacks_index(const std::string& path);

enum class RecordLayout : std::uint8_t {
  /// Images under keys 1..N grouped by label (face2rec2 order: images, key 0, identities). Labels
  /// must not fall.
  kInsightFace,
  /// Images under keys 0..N-1 in any order, nothing else: what im2rec writes and DALI reads.
  kIm2rec,
};

/// Writes train.rec, train.idx and property; labels are scalars in the records' headers (flag 0).
/// All files appear on finish(); without it nothing stays.
class RecordWriter {
 public:
  RecordWriter(std::string folder, int image_size,
               RecordLayout layout = RecordLayout::kInsightFace);
  ~RecordWriter();
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;
  /// InsightFace layout: labels 0.. in non-falling order, none left out (checked).
  void add(std::int64_t label, std::span<const std::byte> encoded_image);
  /// Another file of the folder, which appears with the set.
  void add_companion(const std::string& name, std::string_view content);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::data
