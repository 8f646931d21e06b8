#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace diffprob::data {

/// What lies in a folder of images and no reader takes (other names, dangling links, deeper
/// folders).
struct LeftOut {
  std::int64_t count = 0;
  std::string first;  ///< with the reason and what to do
};

/// Labelled images, encoded (JPEG, PNG, ...). Indices run from 0 to size() - 1; labels from 0 to
/// num_classes() - 1. All members are safe to call from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  [[nodiscard]] virtual std::int64_t size() const = 0;
  [[nodiscard]] virtual std::int64_t num_classes() const = 0;
  /// Without touching image bytes: labels are scanned once, when the set is opened.
  [[nodiscard]] virtual std::int64_t label(std::int64_t index) const = 0;
  /// Puts the encoded image into `bytes` (resized; its capacity is reused). Throws DataError.
  virtual void read(std::int64_t index, std::vector<std::byte>& bytes) const = 0;
  /// Bytes of the encoded image, without reading it; none where the set cannot tell. Sets of
  /// records and of files read a head or a file's size for it. Throws DataError, as read() would.
  [[nodiscard]] virtual std::optional<std::int64_t> encoded_bytes(std::int64_t /*index*/) const {
    return std::nullopt;
  }
  /// For messages: "train.rec record 17 (offset 123456)".
  [[nodiscard]] virtual std::string describe(std::int64_t index) const = 0;
  /// Folder of the set, for messages; "" when describe() names it.
  [[nodiscard]] virtual std::string folder() const { return {}; }
  /// SHA-256 (hex) over kind, size, num_classes, all labels and what locates the images (record
  /// offsets and lengths, file names and sizes); the same for the same set on any machine,
  /// different when labels or records change.
  [[nodiscard]] virtual std::string fingerprint() const = 0;
  /// What opening the set left out; nothing for sets whose files name all they hold.
  [[nodiscard]] virtual LeftOut left_out() const { return {}; }
};

/// Some samples of another set, with labels mapped: sample i is parent sample indices[i]. Holds 4
/// bytes a sample and 8 a class of the parent; everything else is asked of the parent.
class Subset final : public Dataset {
 public:
  /// `label_map[old] = new`, or -1 for identities that vanished; empty: labels stay. Throws
  /// DataError on an index out of range, an index twice, a kept sample whose label maps to -1, or a
  /// parent of more than 2^32 samples.
  Subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices,
         std::vector<std::int64_t> label_map);
  [[nodiscard]] std::int64_t size() const override;
  [[nodiscard]] std::int64_t num_classes() const override;
  [[nodiscard]] std::int64_t label(std::int64_t index) const override;
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override;
  [[nodiscard]] std::optional<std::int64_t> encoded_bytes(std::int64_t index) const override {
    return parent_->encoded_bytes(parent_index(index));
  }
  [[nodiscard]] std::string describe(std::int64_t index) const override;
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] std::string folder() const override { return parent_->folder(); }
  [[nodiscard]] const Dataset& parent() const noexcept { return *parent_; }
  /// Labels of the parent -> labels here, or -1; empty: labels stay.
  [[nodiscard]] const std::vector<std::int64_t>& label_map() const noexcept { return label_map_; }
  /// Index in the parent set.
  [[nodiscard]] std::int64_t parent_index(std::int64_t index) const;

 private:
  std::shared_ptr<const Dataset> parent_;
  std::vector<std::uint32_t> indices_;
  std::vector<std::int64_t> label_map_;
  std::int64_t num_classes_ = 0;
};

/// `reason` with the image that it is about, and the folder of its set, in front: where it does not
/// name them itself.
[[nodiscard]] std::string with_image(const Dataset& dataset, std::int64_t index,
                                     const std::string& reason);

}  // namespace diffprob::data
