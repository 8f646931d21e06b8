#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <utility>

#include "data/duplicates/hash_search.h"
#include "data/duplicates/image_hash.h"
#include "data/error.h"
#include "data/images/jpeg_decoder.h"

namespace diffprob::data {
namespace {

constexpr int kSide = kHashedSide;
using Image = std::vector<std::uint8_t>;

/// Clouds of a few hundred random waves: smooth, as faces are.
Image clouds(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> unit(-1, 1);
  std::vector<float> sum(std::size_t{kSide} * kSide);
  for (int wave = 0; wave < 60; ++wave) {
    const float a = 0.5F * unit(random), b = 0.5F * unit(random), phase = 3 * unit(random);
    const float height = 6.0F / (0.2F + std::abs(a) + std::abs(b));
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x)
        sum[static_cast<std::size_t>(y * kSide + x)] +=
            height * std::sin(a * static_cast<float>(x) + b * static_cast<float>(y) + phase);
  }
  Image image;
  for (const float value : sum)
    for (const float gain : {1.0F, 0.9F, 0.7F})
      image.push_back(static_cast<std::uint8_t>(std::clamp(100 + gain * value, 0.0F, 255.0F)));
  return image;
}

Image reencoded(const Image& image, int quality) {
  Image out(image.size());
  ImageDecoder().decode(encode_jpeg(image, kSide, kSide, quality), kSide, out.data());
  return out;
}

Image mirror_image(const Image& image) {
  Image out = image;
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x)
      for (int c = 0; c < 3; ++c)
        out[static_cast<std::size_t>(3 * (y * kSide + x) + c)] =
            image[static_cast<std::size_t>(3 * (y * kSide + kSide - 1 - x) + c)];
  return out;
}

Image brighter(const Image& image, double gain) {
  Image out = image;
  for (auto& value : out)
    value = static_cast<std::uint8_t>(std::min(255.0, static_cast<double>(value) * gain));
  return out;
}

/// Without `cut` pixels in each direction, of which `left` and `top` at the front; resized back.
Image cropped(const Image& image, int cut, int left, int top) {
  const int side = kSide - cut;
  Image part;
  for (int y = 0; y < side; ++y)
    part.insert(part.end(), image.begin() + 3 * ((y + top) * kSide + left),
                image.begin() + 3 * ((y + top) * kSide + left + side));
  Image out(image.size());
  ImageDecoder().decode(encode_jpeg(part, side, side, 90), kSide, out.data());
  return out;
}

int least_distance(const Image& image, const Image& copy) {
  const ImageHasher hasher;
  ViewHashes views, whole;
  EXPECT_TRUE(hasher.hash(image, views) && hasher.hash(copy, whole));
  int least = kHashBits;
  for (const auto& view : views)
    least =
        std::min({least, hash_distance(view, whole[0]), hash_distance(mirrored(view), whole[0])});
  return least;
}

double similarity(const Image& a, const Image& b) {
  const ImageHasher hasher;
  return image_similarity(hasher.describe(a), hasher.describe(b));
}

TEST(ImageHash, FindsCopiesAndTellsOtherImagesApart) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Image image = clouds(seed);
    for (const Image& copy :
         {reencoded(image, 30), reencoded(image, 95), mirror_image(image), brighter(image, 0.8),
          brighter(image, 1.2), cropped(image, 4, 0, 4), cropped(image, 4, 2, 2),
          cropped(image, 8, 4, 4), mirror_image(cropped(image, 4, 3, 1))}) {
      EXPECT_LE(least_distance(image, copy), kHashRadius);
      EXPECT_GE(similarity(image, copy), 0.9);
      EXPECT_DOUBLE_EQ(similarity(image, copy), similarity(copy, image));
    }
    EXPECT_GT(least_distance(image, clouds(seed + 100)), 2 * kHashRadius);
    EXPECT_LT(similarity(image, clouds(seed + 100)), 0.7);
  }
}

TEST(ImageHash, MirroredIsTheHashOfTheMirrorImage) {
  const ImageHasher hasher;
  ViewHashes views, mirror;
  ASSERT_TRUE(hasher.hash(clouds(3), views));
  ASSERT_TRUE(hasher.hash(mirror_image(clouds(3)), mirror));
  EXPECT_LE(hash_distance(mirrored(views[0]), mirror[0]), 1);
  EXPECT_EQ(mirrored(mirrored(views[0])), views[0]);
}

TEST(ImageHash, RefusesFlatImagesAndWrongSizes) {
  const ImageHasher hasher;
  ViewHashes views;
  const Image grey(std::size_t{3} * kSide * kSide, 128);
  EXPECT_FALSE(hasher.hash(grey, views));
  EXPECT_EQ(similarity(grey, grey), 0);
  EXPECT_THROW((void)hasher.hash(std::span(grey).first(99), views), DataError);
}

ImageHash flipped(ImageHash hash, int bits, std::mt19937_64& random) {
  for (int i = 0; i < bits; ++i) {
    const auto bit = random() % kHashBits;
    hash[bit / 64] ^= std::uint64_t{1} << (bit % 64);
  }
  return hash;
}

/// Clusters of hashes around random centres, some of them equal.
std::vector<ViewHashes> random_queries(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<ViewHashes> queries(count);
  for (std::size_t i = 0; i < count; ++i) {
    const bool copies = i > 0 && random() % 2 == 0;
    const ImageHash centre = copies ? queries[random() % i][0] : ImageHash{random(), random()};
    for (auto& view : queries[i]) view = flipped(centre, static_cast<int>(random() % 16), random);
    if (copies && random() % 4 == 0) queries[i][0] = centre;
    if (random() % 5 == 0) queries[i][0] = mirrored(queries[i][0]);
  }
  return queries;
}

TEST(HashSearch, EqualsComparingAllPairs) {
  const auto queries = random_queries(700, 5);
  std::vector<ImageHash> hashes;
  std::vector<std::uint8_t> valid;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    hashes.push_back(queries[i][0]);
    valid.push_back(i % 11 != 3);
  }
  std::vector<HashMatch> expected, equal;
  std::map<ImageHash, std::uint32_t> first;
  for (std::uint32_t i = 0; i < hashes.size(); ++i) {
    if (valid[i] == 0) continue;
    const auto [at, is_new] = first.emplace(hashes[i], i);
    if (!is_new) equal.push_back({i, at->second, 0});
  }
  for (std::uint32_t q = 0; q < queries.size(); ++q)
    for (const auto& [hash, place] : first) {
      int least = kHashBits;
      for (const auto& view : queries[q])
        least = std::min({least, hash_distance(view, hash), hash_distance(mirrored(view), hash)});
      if (valid[q] != 0 && least <= kHashRadius) expected.push_back({q, place, least});
    }
  std::ranges::sort(expected);
  ASSERT_GT(expected.size(), 1500U);
  ASSERT_GT(equal.size(), 20U);
  HashIndex index(hashes, valid);
  EXPECT_EQ(index.equal_hashes(), equal);
  for (const int threads : {1, 3})
    EXPECT_EQ(search_views(index, queries, valid, threads), expected);
}

TEST(HashSearch, ThousandCopiesCostThousandMatches) {
  const auto one = random_queries(1, 9)[0];
  const std::vector<ViewHashes> queries(1000, one);
  const std::vector<ImageHash> hashes(1000, one[0]);
  HashIndex index(hashes, {});
  EXPECT_EQ(index.equal_hashes().size(), 999U);
  EXPECT_EQ(search_views(index, queries, {}, 2).size(), 1000U);
}

TEST(HashSearch, BadInput) {
  const std::vector<ImageHash> hashes(3);
  const std::vector<std::uint8_t> valid(2, 1);
  EXPECT_THROW(HashIndex(hashes, valid), DataError);
  HashIndex none({}, {});
  EXPECT_TRUE(search_views(none, {}, {}, 1).empty());
}

}  // namespace
}  // namespace diffprob::data
