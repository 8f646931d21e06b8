#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// Labelled image files under one folder: what image folders and lists become. Names sit end to end
/// in one text (12 bytes a sample and the name).
class ImageFiles final : public Dataset {
 public:
  /// `kind` is part of the fingerprint; `hint` ends the message about a file that does not exist.
  ImageFiles(std::string folder, std::string kind, std::string hint = "");
  /// `name` is relative to the folder, or absolute.
  void add(std::string_view name, std::uint32_t label);
  /// Notes something beside the images that no reader takes; `message` says why and what to do.
  void leave_out(const std::string& message);
  /// Counts the classes. Throws DataError without images.
  void finish();

  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(labels_.size());
  }
  [[nodiscard]] std::int64_t num_classes() const override { return num_classes_; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override {
    return labels_[checked(index)];
  }
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override;
  [[nodiscard]] std::optional<std::int64_t> encoded_bytes(std::int64_t index) const override;
  [[nodiscard]] std::string describe(std::int64_t index) const override;
  [[nodiscard]] std::string folder() const override { return folder_; }
  /// Reads the size of every file.
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] LeftOut left_out() const override { return left_out_; }

 private:
  [[noreturn]] void fail_missing(const std::string& file) const;
  [[nodiscard]] std::int64_t bytes_of(const std::string& file) const;
  [[nodiscard]] std::size_t checked(std::int64_t index) const;
  [[nodiscard]] std::string_view name(std::size_t index) const;
  [[nodiscard]] std::string path(std::size_t index) const;

  std::string folder_;
  std::string kind_;
  std::string hint_;
  std::string names_;
  std::vector<std::int64_t> ends_;
  std::vector<std::uint32_t> labels_;
  std::int64_t num_classes_ = 0;
  LeftOut left_out_;
};

}  // namespace diffprob::data
