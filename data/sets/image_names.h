#pragma once

#include <string>
#include <string_view>

namespace diffprob::data {

/// Endings of image files, for messages.
inline constexpr const char* kImageEndings = ".jpg .jpeg .jpe .jfif .png .bmp .webp .tif .tiff";

/// Returns true for a name with the ending of an image that we read, in any case.
[[nodiscard]] bool has_image_ending(std::string_view name);

/// Returns true for a file that is an image: by its ending or, where the ending is none that is
/// known, by its first bytes.
[[nodiscard]] bool is_image_file(const std::string& path);

}  // namespace diffprob::data
