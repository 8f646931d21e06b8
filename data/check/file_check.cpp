#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <utility>

#include "data/check/check_dataset.h"
#include "data/check/duplicate_search.h"
#include "data/check/identity_gaps.h"
#include "data/check/image_check.h"
#include "data/error.h"
#include "data/files/worker_threads.h"
#include "data/open_dataset.h"
#include "data/sets/image_folder.h"

namespace diffprob::data {
namespace {

namespace fs = std::filesystem;

/// Files that a thread takes at a time.
constexpr std::int64_t kFilesAtOnce = 64;

class ImageFilesCheck {
 public:
  ImageFilesCheck(std::string path, const CheckOptions& options)
      : path_(std::move(path)), options_(options) {}

  CheckReport run() {
    open();
    run_on_threads(options_.threads, [&] { check_files(); });
    find_labels_without_images();
    find_duplicates(digests_, *files_, report_.findings);
    report_.samples = files_;
    return std::move(report_);
  }

 private:
  void open() {
    std::error_code error;
    const bool folder = fs::is_directory(path_, error);
    if (!fs::exists(path_, error) || (!folder && !is_image_list(path_))) {
      static_cast<void>(open_dataset(path_));  // says what is understood
      throw DataError(path_ + ": neither a folder nor a list");
    }
    const auto note = [&](const ImageSetProblem& problem) {
      const bool empty = problem.label >= 0;
      report_.findings.push_back(
          {.kind = empty ? FindingKind::kEmptyIdentity : FindingKind::kLayout,
           .label = problem.label,
           .other = problem.label,
           .message = problem.message});
      if (empty) empty_classes_.push_back(static_cast<std::uint32_t>(problem.label));
    };
    files_ =
        folder ? scan_image_folder(path_, note) : scan_image_list(path_, options_.list_root, note);
  }

  void check_files() {
    ImageCheck check(options_.image_size);
    std::vector<std::byte> bytes;
    std::vector<Finding> findings;
    std::vector<DigestedImage> digests;
    while (true) {
      const auto begin = next_.fetch_add(kFilesAtOnce);
      if (begin >= files_->size()) return;
      const auto end = std::min(begin + kFilesAtOnce, files_->size());
      findings.clear();
      digests.clear();
      std::int64_t read = 0;
      for (auto i = begin; i < end; ++i) {
        const auto problem = check_file(i, check, bytes);
        read += static_cast<std::int64_t>(bytes.size());
        if (problem.has_value()) {
          findings.push_back({.kind = problem->kind,
                              .index = i,
                              .label = files_->label(i),
                              .message = files_->describe(i) + ": " + problem->message});
        } else {
          digests.push_back({check.digest(bytes), i});
        }
      }
      collect(findings, digests, end - begin, read);
    }
  }

  std::optional<ImageProblem> check_file(std::int64_t index, ImageCheck& check,
                                         std::vector<std::byte>& bytes) const {
    bytes.clear();
    try {
      files_->read(index, bytes);
    } catch (const DataError& error) {
      return ImageProblem{FindingKind::kUnreadable, error.what()};
    }
    return check.problem(bytes);
  }

  void collect(const std::vector<Finding>& findings, const std::vector<DigestedImage>& digests,
               std::int64_t files, std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    report_.findings.insert(report_.findings.end(), findings.begin(), findings.end());
    digests_.insert(digests_.end(), digests.begin(), digests.end());
    done_ += files;
    report_.bytes += bytes;
    if (options_.progress)
      options_.progress(
          {done_, files_->size(), done_, static_cast<std::int64_t>(report_.findings.size())});
  }

  /// Labels of a list; classes of a folder without images are known already.
  void find_labels_without_images() {
    std::vector<std::uint32_t> labels;
    for (std::int64_t i = 0; i < files_->size(); ++i)
      labels.push_back(static_cast<std::uint32_t>(files_->label(i)));
    report_.num_classes = std::max(likely_class_count(labels), repeated_class_count(labels));
    for (std::int64_t i = 0; i < files_->size(); ++i) {
      if (files_->label(i) < report_.num_classes) continue;
      report_.findings.push_back({.kind = FindingKind::kLabel,
                                  .index = i,
                                  .label = files_->label(i),
                                  .message = files_->describe(i) + ": label " +
                                             std::to_string(files_->label(i)) +
                                             " is far above all others (the next one is " +
                                             std::to_string(report_.num_classes - 1) + ")"});
    }
    labels.insert(labels.end(), empty_classes_.begin(), empty_classes_.end());
    find_empty_identities(std::move(labels), report_.num_classes, report_.findings);
  }

  std::string path_;
  const CheckOptions& options_;
  std::shared_ptr<const ImageFiles> files_;
  std::vector<std::uint32_t> empty_classes_;
  std::atomic<std::int64_t> next_ = 0;
  std::mutex mutex_;
  std::vector<DigestedImage> digests_;
  std::int64_t done_ = 0;
  CheckReport report_;
};

}  // namespace

CheckReport check_image_files(const std::string& path, const CheckOptions& options) {
  return ImageFilesCheck(path, options).run();
}

}  // namespace diffprob::data
