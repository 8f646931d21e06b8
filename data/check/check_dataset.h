#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/check/finding.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

struct CheckProgress {
  std::int64_t done = 0;    ///< bytes of a .rec, image files of a folder or list
  std::int64_t total = 0;   ///< in the same unit
  std::int64_t images = 0;  ///< looked at so far
  /// Number so far; copies and findings about the set as a whole come at the end.
  std::int64_t findings = 0;
};

struct CheckOptions {
  int threads = 1;        ///< that read and decode
  int image_size = 112;   ///< wanted width and height, pixels; 0: any
  std::string list_root;  ///< as in open_dataset
  /// Called now and then by the decoding threads, one at a time.
  std::function<void(const CheckProgress&)> progress;
};

/// Whether a sample can be kept, and else why not; the first reason in this order.
enum class SampleVerdict : std::uint8_t { kSound, kUnreadable, kMislabelled, kDuplicate };

struct CheckReport {
  std::string path;
  std::int64_t bytes = 0;  ///< read: the .rec, or all image files
  std::int64_t num_classes = 0;
  std::vector<Finding> findings;        ///< by kind, then index, offset and label
  std::vector<SampleVerdict> verdicts;  ///< [samples]
  /// Every image record or file that was found, sound or not, in the order in which open_dataset
  /// numbers them when it accepts the set. The label of a sample with a label that cannot be is
  /// 2^32 - 1.
  std::shared_ptr<const Dataset> samples;
  std::string open_error;           ///< what open_dataset says; empty when it accepts the set
  std::string fingerprint;          ///< of the set, when it does
  std::int64_t opened_classes = 0;  ///< its classes, when it does
};

/// Reads and decodes every image of whatever open_dataset understands, and goes on behind
/// everything that is wrong with it. Nothing in the files is trusted. Memory: some 50 bytes an
/// image, and 4 MiB a thread. Throws DataError only where there is nothing to read: the path does
/// not exist, or is no data set.
[[nodiscard]] CheckReport check_dataset(const std::string& path, const CheckOptions& options);

// The two kinds of sets; for check_dataset.
[[nodiscard]] CheckReport check_record_file(const std::string& rec_path,
                                            const CheckOptions& options);
[[nodiscard]] CheckReport check_image_files(const std::string& path, const CheckOptions& options);

}  // namespace diffprob::data
