#include "data/images/exif.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace diffprob::data {
namespace {

std::string number(std::uint32_t value, int width, bool little_endian) {
  std::string text;
  for (int i = 0; i < width; ++i)
    text += static_cast<char>(value >> (8 * (little_endian ? i : width - 1 - i)));
  return text;
}

/// A TIFF block of one directory entry.
std::string block(bool little_endian, std::uint32_t tag, std::uint32_t type, std::uint32_t count,
                  std::uint32_t value, std::uint32_t directory = 8) {
  const auto n = [&](std::uint32_t v, int width) { return number(v, width, little_endian); };
  return (little_endian ? "II" : "MM") + n(42, 2) + n(directory, 4) + n(1, 2) + n(tag, 2) +
         n(type, 2) + n(count, 4) + n(value, 2) + n(0, 2) + n(0, 4);
}

std::string segment(char marker, const std::string& content) {
  return std::string{'\xff', marker} +
         number(static_cast<std::uint32_t>(content.size() + 2), 2, false) + content;
}

std::string exif(const std::string& tiff) {
  return segment('\xe1', std::string("Exif\0\0", 6) + tiff);
}

bool turned(const std::string& segments, const std::string& scan = "\xff\xda") {
  const std::string jpeg = "\xff\xd8" + segments + scan + "0123456789";
  return may_need_turning(std::as_bytes(std::span(jpeg)));
}

TEST(Exif, ReadsTheOrientationInBothByteOrders) {
  for (const bool little_endian : {true, false}) {
    EXPECT_FALSE(turned(exif(block(little_endian, 0x0112, 3, 1, 1))));
    for (const std::uint32_t other : {0, 2, 3, 4, 5, 6, 7, 8, 9, 65535})
      EXPECT_TRUE(turned(exif(block(little_endian, 0x0112, 3, 1, other)))) << other;
  }
}

TEST(Exif, SilenceMeansUpright) {
  EXPECT_FALSE(turned(""));
  EXPECT_FALSE(turned(segment('\xe0', "JFIF")));
  EXPECT_FALSE(turned(segment('\xe1', "http://ns.adobe.com/xap/1.0/")));
  EXPECT_FALSE(turned(exif(block(true, 0x010f, 2, 1, 6))));  // another tag
}

TEST(Exif, AnyBlockBeforeTheScanCounts) {
  const std::string upright = exif(block(true, 0x0112, 3, 1, 1));
  const std::string turn = exif(block(false, 0x0112, 3, 1, 8));
  EXPECT_TRUE(turned(segment('\xe0', "JFIF") + upright + turn));
  EXPECT_FALSE(turned(upright, "\xff\xda" + turn));
}

TEST(Exif, WhatCannotBeUnderstoodMayNeedTurning) {
  EXPECT_TRUE(turned(exif(block(true, 0x0112, 4, 1, 1))));  // not a short
  EXPECT_TRUE(turned(exif(block(true, 0x0112, 3, 2, 1))));  // not one
  EXPECT_TRUE(
      turned(exif(block(true, 0x0112, 3, 1, 1, 0xffffffff))));  // directory beyond the block
  EXPECT_TRUE(turned(exif("XX" + block(true, 0x0112, 3, 1, 1).substr(2))));
  const std::string whole = block(true, 0x0112, 3, 1, 1);
  for (std::size_t length = 0; length < 22; ++length)
    EXPECT_TRUE(turned(exif(whole.substr(0, length)))) << length;
  const std::string cut = "\xff\xd8" + exif(whole).substr(0, 20);
  EXPECT_TRUE(may_need_turning(std::as_bytes(std::span(cut))));
}

TEST(Exif, RandomBytesEnd) {
  std::mt19937 random(1);
  std::string bytes =
      "\xff\xd8" + exif(block(true, 0x0112, 3, 1, 6)) + exif(block(false, 0x0112, 3, 1, 1));
  for (int round = 0; round < 20000; ++round) {
    std::string hostile = bytes.substr(0, random() % (bytes.size() + 1));
    for (int flips = 0; flips < 4 && !hostile.empty(); ++flips)
      hostile[random() % hostile.size()] = static_cast<char>(random());
    (void)may_need_turning(std::as_bytes(std::span(hostile)));
  }
}

}  // namespace
}  // namespace diffprob::data
