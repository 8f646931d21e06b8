#include "eval/page/image_uri.h"

#include <gtest/gtest.h>

#include <string_view>

namespace diffprob::eval {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(ImageUri, Base64OfRfc4648) {
  for (const auto& [plain, encoded] : {std::pair{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(base64(bytes(plain)), encoded);
  }
  EXPECT_EQ(base64(bytes("\xFB\xFF\xFE")), "+//+");
}

TEST(ImageUri, TypeComesFromTheSignature) {
  EXPECT_EQ(image_uri(bytes("\xFF\xD8\xFF\xE0")), "data:image/jpeg;base64,/9j/4A==");
  EXPECT_TRUE(image_uri(bytes("\x89PNG\r\n\x1A\n"))->starts_with("data:image/png;base64,"));
  EXPECT_TRUE(image_uri(bytes("RIFFxxxxWEBP"))->starts_with("data:image/webp;"));
  for (const char* none : {"", "<svg onload=alert(1)>", "\xFF\xD8", "RIFFxxxxWAVE", "BM"})
    EXPECT_FALSE(image_uri(bytes(none)));
}

}  // namespace
}  // namespace diffprob::eval
