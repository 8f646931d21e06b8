#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace diffprob::data {

/// What the lines of a list of images look like; fields stand between tabs or, without tabs,
/// between blanks.
enum class ImageListKind : std::uint8_t {
  kIm2rec,       ///< index, label ..., path
  kInsightFace,  ///< aligned, path, label ...
  kPathLabel,    ///< path, label (FaceX-Zoo and others)
  kLabelPath,    ///< label, path
  kMagFace,      ///< path, 0, label, 0
};

struct ListLine {
  ImageListKind kind = ImageListKind::kIm2rec;
  std::int64_t index = 0;  ///< of im2rec
  std::string_view label;  ///< a number or a name
  std::string_view path;
};

/// Parses a line; views point into `text`. The path is the field that is no number; where labels
/// are names, the one that has a folder or the ending of an image. Throws DataError that says what
/// was expected (without file and line).
[[nodiscard]] ListLine parse_list_line(std::string_view text);

/// Returns true for a number, whole or not.
[[nodiscard]] bool is_number(std::string_view text);

}  // namespace diffprob::data
