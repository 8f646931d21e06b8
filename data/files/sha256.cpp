#include "data/files/sha256.h"

#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include <openssl/evp.h>

#include "data/error.h"
#include "data/files/input_file.h"

namespace diffprob::data {

static_assert(std::endian::native == std::endian::little,
              "digests and foreign formats are read as little-endian");

struct Sha256::Impl {
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  if (impl_->context == nullptr ||
      EVP_DigestInit_ex(impl_->context.get(), EVP_sha256(), nullptr) != 1)
    throw DataError("SHA-256 is not available from OpenSSL");
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) != 1)
    throw DataError("SHA-256 update failed in OpenSSL");
}

void Sha256::update(std::string_view text) {
  update(std::as_bytes(std::span(text)));
}

void Sha256::update(std::int64_t value) {
  update(std::as_bytes(std::span(&value, 1)));
}

std::array<std::byte, 32> Sha256::bytes() {
  std::array<std::byte, 32> digest;
  if (EVP_DigestFinal_ex(impl_->context.get(), reinterpret_cast<unsigned char*>(digest.data()),
                         nullptr) != 1)
    throw DataError("SHA-256 could not be finished in OpenSSL");
  return digest;
}

std::string Sha256::hex() {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const auto byte : bytes()) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

std::string sha256_hex(std::string_view text) {
  Sha256 digest;
  digest.update(text);
  return digest.hex();
}

std::string sha256_file(const std::string& path) {
  const InputFile file(path);
  Sha256 digest;
  std::vector<std::byte> block(std::size_t{1} << 20);
  for (std::int64_t at = 0; at < file.size();) {
    const auto take =
        std::min<std::int64_t>(file.size() - at, static_cast<std::int64_t>(block.size()));
    const auto part = std::span(block).first(static_cast<std::size_t>(take));
    file.read(at, part);
    digest.update(std::span<const std::byte>(part));
    at += take;
  }
  return digest.hex();
}

}  // namespace diffprob::data
