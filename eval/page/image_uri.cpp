#include "eval/page/image_uri.h"

#include <cstdint>
#include <string_view>

namespace diffprob::eval {
namespace {

bool has_at(std::span<const std::byte> bytes, std::size_t offset, std::string_view signature) {
  if (bytes.size() < offset + signature.size()) return false;
  for (std::size_t i = 0; i < signature.size(); ++i) {
    if (bytes[offset + i] != static_cast<std::byte>(signature[i])) return false;
  }
  return true;
}

std::string_view media_type(std::span<const std::byte> bytes) {
  if (has_at(bytes, 0, "\xFF\xD8\xFF")) return "image/jpeg";
  if (has_at(bytes, 0, "\x89PNG\r\n\x1A\n")) return "image/png";
  if (has_at(bytes, 0, "GIF8")) return "image/gif";
  if (has_at(bytes, 0, "RIFF") && has_at(bytes, 8, "WEBP")) return "image/webp";
  return {};
}

}  // namespace

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8U | (k < count ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= count ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
  }
  return text;
}

std::optional<std::string> image_uri(std::span<const std::byte> encoded) {
  const auto type = media_type(encoded);
  if (type.empty()) return std::nullopt;
  return "data:" + std::string(type) + ";base64," + base64(encoded);
}

}  // namespace diffprob::eval
