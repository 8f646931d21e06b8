#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace diffprob::eval {

[[nodiscard]] std::string base64(std::span<const std::byte> bytes);

/// "data:image/jpeg;base64,...": the encoded image as it is, for the src of an <img>. JPEG, PNG,
/// GIF and WebP, told by their signature; nothing for any other bytes.
[[nodiscard]] std::optional<std::string> image_uri(std::span<const std::byte> encoded);

}  // namespace diffprob::eval
