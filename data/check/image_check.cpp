#include "data/check/image_check.h"

#include <array>
#include <cstring>
#include <string_view>

#include <openssl/evp.h>

#include "data/error.h"

namespace diffprob::data {
namespace {

bool begins_with(std::string_view text, std::string_view magic) {
  return text.substr(0, magic.size()) == magic;
}

std::uint32_t little_endian(std::string_view text, std::size_t at) {
  std::uint32_t value = 0;
  if (at + 4 <= text.size()) std::memcpy(&value, text.data() + at, 4);
  return value;
}

}  // namespace

bool ends_early(std::span<const std::byte> encoded) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(encoded.data()), encoded.size());
  // Encoders and packers may leave zeros behind the end marker.
  const auto last = text.find_last_not_of('\0');
  if (begins_with(text, "\xff\xd8"))
    return last == std::string_view::npos || last < 3 || text.substr(last - 1, 2) != "\xff\xd9";
  if (begins_with(text, "\x89PNG"))
    return text.find("IEND", text.size() < 64 ? 0 : text.size() - 64) == std::string_view::npos;
  if (begins_with(text, "BM")) return little_endian(text, 2) > text.size();
  if (begins_with(text, "RIFF")) return std::uint64_t{little_endian(text, 4)} + 8 > text.size();
  return false;
}

struct ImageCheck::Hash {
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    void operator()(EVP_MD* algorithm) const noexcept { EVP_MD_free(algorithm); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
  std::unique_ptr<EVP_MD, Free> algorithm{
      EVP_MD_fetch(nullptr, "SHA256", nullptr)};  // found once, not once an image
};

ImageCheck::ImageCheck(int image_size) : image_size_(image_size), hash_(std::make_unique<Hash>()) {
  if (hash_->context == nullptr || hash_->algorithm == nullptr)
    throw DataError("SHA-256 is not available from OpenSSL");
}

ImageCheck::~ImageCheck() = default;

ImageDigest ImageCheck::digest(std::span<const std::byte> encoded) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  auto* const context = hash_->context.get();
  if (EVP_DigestInit_ex2(context, hash_->algorithm.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context, encoded.data(), encoded.size()) != 1 ||
      EVP_DigestFinal_ex(context, bytes.data(), nullptr) != 1)
    throw DataError("SHA-256 failed in OpenSSL");
  ImageDigest digest;
  std::memcpy(&digest.high, bytes.data(), sizeof(digest.high));
  std::memcpy(&digest.low, bytes.data() + sizeof(digest.high), sizeof(digest.low));
  return digest;
}

std::optional<ImageProblem> ImageCheck::problem(std::span<const std::byte> encoded) {
  try {
    decoder_.decode(encoded, image_);
  } catch (const DataError& error) {
    const std::string_view message = error.what();
    const bool truncated =
        ends_early(encoded) || message.find("Premature end of JPEG file") != std::string_view::npos;
    return ImageProblem{truncated ? FindingKind::kTruncated : FindingKind::kCorrupt, error.what()};
  }
  // OpenCV shows what there is of a picture that is cut off.
  if (encoded[0] != std::byte{0xff} && ends_early(encoded))
    return ImageProblem{FindingKind::kTruncated,
                        "the image ends before its end marker or announced length"};
  if (image_size_ == 0 || (image_.width == image_size_ && image_.height == image_size_))
    return std::nullopt;
  const auto side = std::to_string(image_size_);
  return ImageProblem{FindingKind::kWrongSize, std::to_string(image_.width) + " x " +
                                                   std::to_string(image_.height) +
                                                   " pixels, expected " + side + " x " + side};
}

}  // namespace diffprob::data
