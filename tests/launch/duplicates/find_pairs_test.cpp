// Pairs of images over ranks and blocks, against comparing all pairs.
#include "launch/duplicates/find_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "data/duplicates/hash_search.h"
#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "data/random/keyed_random.h"
#include "launch/duplicates/pair_files.h"
#include "tests/support/mpi_world.h"
#include "tests/support/test_device.h"

namespace diffprob::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Bytes = std::vector<std::byte>;

constexpr int kSide = data::kHashedSide;

/// Smooth random waves, as a JPEG. Images of one `key` and several qualities are copies.
Bytes waves(std::uint64_t key, int quality, bool mirrored) {
  data::KeyedRandom random(key);
  const auto unit = [&] { return static_cast<double>(random.below(2001)) / 1000 - 1; };
  std::vector<double> sum(std::size_t{kSide} * kSide, 100);
  for (int wave = 0; wave < 40; ++wave) {
    const double a = 0.4 * unit(), b = 0.4 * unit(), phase = 3 * unit();
    const double height = 6 / (0.2 + std::abs(a) + std::abs(b));
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x)
        sum[static_cast<std::size_t>(y * kSide + (mirrored ? kSide - 1 - x : x))] +=
            height * std::sin(a * x + b * y + phase);
  }
  std::vector<std::uint8_t> rgb;
  for (const double value : sum)
    rgb.insert(rgb.end(), 3, static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
  return data::encode_jpeg(rgb, kSide, kSide, quality);
}

/// Image i shows photograph i % photographs.
std::vector<Bytes> copies(int count, int photographs) {
  std::vector<Bytes> images;
  for (int i = 0; i < count; ++i)
    images.push_back(
        waves(static_cast<std::uint64_t>(i % photographs), 95 - i % 4 * 20, i % 3 == 1));
  return images;
}

ImageSource source_of(const std::vector<Bytes>& images) {
  return {"images", static_cast<std::int64_t>(images.size()),
          [&images](std::int64_t index, Bytes& bytes) {
            bytes = images[static_cast<std::size_t>(index)];
          }};
}

class FindPairs : public ::testing::Test {
 protected:
  static Config small_config() {
    Config config;
    config.device = tests::test_device_request();
    return config;
  }
  std::vector<ImagePair> pairs(const std::vector<Bytes>& images, const PairSearch& options) {
    const ImageSource source = source_of(images);
    return find_pairs(source, hash_images(source, options.threads, runtime_), options, runtime_);
  }

  Config config_ = small_config();
  Runtime runtime_{tests::mpi(), config_};
};

struct Whole {
  data::ViewHashes views;
  data::ImageDescription description;
};

std::vector<Whole> look_at(const std::vector<Bytes>& images) {
  data::ImageDecoder decoder;
  const data::ImageHasher hasher;
  std::vector<std::uint8_t> rgb(std::size_t{3} * kSide * kSide);
  std::vector<Whole> all(images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    decoder.decode(images[i], kSide, rgb.data());
    EXPECT_TRUE(hasher.hash(rgb, all[i].views));
    all[i].description = hasher.describe(rgb);
  }
  return all;
}

int least_distance(const Whole& a, const Whole& b) {
  int least = data::kHashBits;
  for (const auto& [x, y] : {std::pair(&a, &b), std::pair(&b, &a)})
    for (const auto& view : x->views)
      least = std::min({least, data::hash_distance(view, y->views[0]),
                        data::hash_distance(data::mirrored(view), y->views[0])});
  return least;
}

bool are_copies(const Whole& a, const Whole& b) {
  return least_distance(a, b) <= data::kHashRadius &&
         data::image_similarity(a.description, b.description) >= 0.9;
}

using Places = std::set<std::pair<std::int64_t, std::int64_t>>;

Places places(const std::vector<ImagePair>& pairs) {
  Places places;
  for (const auto& pair : pairs) places.emplace(pair.a, pair.b);
  EXPECT_EQ(places.size(), pairs.size());
  return places;
}

TEST_F(FindPairs, InOneSetGroupsAreThoseOfAllPairs) {
  const auto images = copies(47, 19);
  const auto whole = look_at(images);
  std::vector<ImagePair> expected;
  for (std::size_t a = 0; a < whole.size(); ++a)
    for (std::size_t b = a + 1; b < whole.size(); ++b)
      if (are_copies(whole[a], whole[b]))
        expected.push_back({static_cast<std::int64_t>(a), static_cast<std::int64_t>(b), 0, 0});
  ASSERT_EQ(all_but_first(found_pairs(expected, {}), 47).size(), 28U);
  for (const std::int64_t block : {5, 16, 1000}) {
    const auto found = pairs(images, {.threads = 2, .block = block});
    if (!runtime_.is_root()) {
      EXPECT_THAT(found, IsEmpty());
      continue;
    }
    EXPECT_EQ(all_but_first(found_pairs(found, {}), 47),
              all_but_first(found_pairs(expected, {}), 47))
        << "block " << block;
    const Places all = places(expected);
    for (const auto& pair : found) {
      EXPECT_TRUE(all.contains({pair.a, pair.b})) << pair.a << " " << pair.b;
      const auto& a = whole[static_cast<std::size_t>(pair.a)];
      const auto& b = whole[static_cast<std::size_t>(pair.b)];
      EXPECT_EQ(pair.distance, least_distance(a, b));
      EXPECT_FLOAT_EQ(pair.similarity,
                      static_cast<float>(data::image_similarity(a.description, b.description)));
    }
  }
}

TEST_F(FindPairs, BetweenTwoSetsAllPairsAreFound) {
  const auto ours = copies(31, 13);
  auto tests_images = copies(24, 30);
  tests_images.push_back(ours[4]);
  tests_images.push_back(ours[4]);
  const auto a = look_at(ours), b = look_at(tests_images);
  Places expected;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < b.size(); ++k)
      if (are_copies(a[i], b[k])) expected.emplace(i, k);
  ASSERT_GT(expected.size(), 30U);
  const ImageSource source_a = source_of(ours), source_b = source_of(tests_images);
  const auto hashed_a = hash_images(source_a, 1, runtime_);
  const auto hashed_b = hash_images(source_b, 2, runtime_);
  for (const std::int64_t block : {7, 1000}) {
    const auto found = find_pairs_between(source_a, hashed_a, source_b, hashed_b,
                                          {.threads = 2, .block = block}, runtime_);
    if (runtime_.is_root()) {
      EXPECT_EQ(places(found), expected) << "block " << block;
    }
  }
}

TEST_F(FindPairs, UnreadableAndFlatImagesAreCounted) {
  auto images = copies(9, 9);
  images[2] = Bytes(10);
  images[7].resize(3);
  const std::vector<std::uint8_t> grey(std::size_t{3} * kSide * kSide, 90);
  images[4] = images[5] = data::encode_jpeg(grey, kSide, kSide, 90);
  const auto hashed = hash_images(source_of(images), 2, runtime_);
  EXPECT_THAT(hashed.unreadable, ElementsAre(2, 7));
  EXPECT_FALSE(hashed.first_error.empty());
  EXPECT_EQ(hashed.flat, 2);
  EXPECT_THAT(pairs(images, {}), IsEmpty());
  EXPECT_THAT(pairs({}, {}), IsEmpty());
}

TEST_F(FindPairs, OtherErrorsEndAllRanks) {
  const auto images = copies(6, 6);
  ImageSource source = source_of(images);
  source.read = [](std::int64_t index, Bytes&) {
    if (index == 3) throw std::logic_error("not the image's fault");
    throw data::DataError("unreadable");
  };
  EXPECT_THROW((void)hash_images(source, 1, runtime_), std::runtime_error);
}

TEST(PairFiles, GroupsKeepTheirFirst) {
  EXPECT_THAT(all_but_first({}, 3), IsEmpty());
  EXPECT_THAT(all_but_first({{4, 5, 0, 1}, {2, 4, 0, 1}, {0, 1, 0, 1}, {1, 6, 0, 1}}, 8),
              ElementsAre(1, 4, 5, 6));
}

}  // namespace
}  // namespace diffprob::launch
