#include "launch/inputs/image_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"

namespace diffprob::launch {
namespace {

/// Enough to meet a kind of image of which the set has a twentieth.
constexpr std::int64_t kLookedAt = 64;

struct Images {
  std::int64_t count = 0;
  std::function<std::span<const std::byte>(std::int64_t)> encoded;
  std::function<std::string(std::int64_t)> name;
};

std::string warning_of(const Images& images, int size, const std::string& name) {
  data::ImageDecoder decoder;
  data::DecodedImage image;
  std::int64_t looked_at = 0, resized = 0;
  std::string first;
  const std::int64_t step = std::max<std::int64_t>(1, images.count / kLookedAt);
  for (std::int64_t i = 0; i < images.count; i += step) {
    try {
      decoder.decode(images.encoded(i), image);
    } catch (const data::DataError&) {
      continue;
    }
    ++looked_at;
    if (image.width == size && image.height == size) continue;
    if (resized++ == 0)
      first = fmt::format("{} is {} x {}", images.name(i), image.width, image.height);
  }
  if (resized == 0) return {};
  return fmt::format(
      "{}: {} of {} images looked at are not {} x {} and are resized to that without keeping their "
      "proportions; the first: {}. Networks expect faces that were aligned and cropped to {} x {} "
      "beforehand (`diffprob data check` names every image of another size)",
      name, resized, looked_at, size, size, first, size, size);
}

}  // namespace

std::string resized_warning(const data::Dataset& dataset, int size, const std::string& name) {
  std::vector<std::byte> bytes;
  const auto read = [&](std::int64_t i) -> std::span<const std::byte> {
    dataset.read(i, bytes);
    return bytes;
  };
  return warning_of({dataset.size(), read, [&](std::int64_t i) { return dataset.describe(i); }},
                    size, name);
}

std::string resized_warning(const data::VerificationSet& set, int size, const std::string& name) {
  const auto encoded = [&](std::int64_t i) -> std::span<const std::byte> {
    return set.images[static_cast<std::size_t>(i)];
  };
  return warning_of({static_cast<std::int64_t>(set.images.size()), encoded,
                     [](std::int64_t i) { return fmt::format("image {}", i + 1); }},
                    size, name);
}

}  // namespace diffprob::launch
