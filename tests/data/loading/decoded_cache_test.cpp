#include "data/loading/decoded_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <fstream>

#include "data/random/keyed_random.h"
#include "tests/data/memory_set.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::drain;
using test::expect_same;
using test::kSide;
using test::MemorySet;
using test::train_plan;
using ::testing::HasSubstr;

LoaderOptions options_with(int threads, std::shared_ptr<DecodedCache> cache, bool augment = true) {
  LoaderOptions options;
  options.image_size = kSide;
  options.decode_threads = threads;
  options.flip = true;
  if (augment)
    options.augment = {.crop_probability = 0.4f,
                       .low_resolution_probability = 0.4f,
                       .photometric_probability = 0.4f,
                       .hue = 0.1f};
  options.cache = std::move(cache);
  return options;
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(AugmentedLoader, ContentDependsOnNeitherThreadsNorRanks) {
  const auto set = std::make_shared<MemorySet>(130);
  Loader reference(set, train_plan(*set, 32), options_with(0, nullptr));
  const auto wanted = drain(reference);
  for (const int threads : {1, 3}) {
    Loader loader(set, train_plan(*set, 32), options_with(threads, nullptr));
    expect_same(drain(loader), wanted);
  }
  Loader first(set, train_plan(*set, 32, 0, 3), options_with(2, nullptr));
  Loader second(set, train_plan(*set, 32, 1, 3), options_with(1, nullptr));
  Loader third(set, train_plan(*set, 32, 2, 3), options_with(0, nullptr));
  test::expect_ranks_share(wanted, {&first, &second, &third});
}

TEST(AugmentedLoader, AppliesTheAugmenterBeforeTheFlip) {
  const auto set = std::make_shared<MemorySet>(64);
  const auto plan = train_plan(*set, 32);
  const LoaderOptions options = options_with(2, nullptr);
  Loader loader(set, plan, options);
  Augmenter augmenter(options.augment, kSide);
  ImageDecoder decoder;
  int changed = 0;
  for (const Batch& batch : drain(loader)) {
    for (std::int64_t row = 0; row < 32; ++row) {
      const auto index = batch.indices[row].item<std::int64_t>();
      const auto key = plan->augment_key(0, row, index);
      at::Tensor image = at::empty({kSide, kSide, 3}, at::kByte);
      decoder.decode(set->images[static_cast<std::size_t>(index)], kSide,
                     image.data_ptr<std::uint8_t>());
      const at::Tensor original = image.clone();
      augmenter.apply(key, image.data_ptr<std::uint8_t>());
      changed += at::equal(image, original) ? 0 : 1;
      if (KeyedRandom(key).uniform() < 0.5f) image = image.flip({1});
      EXPECT_TRUE(at::equal(batch.images[row], image)) << index;
    }
  }
  EXPECT_GT(changed, 20);
}

TEST(Loader, MirrorsImagesOfEverySize) {
  const auto set = std::make_shared<MemorySet>(16);
  for (const int side : {1, 2, 3, 7, 40}) {
    LoaderOptions options = options_with(0, nullptr, false);
    options.image_size = side;
    Loader flipping(set, train_plan(*set, 16), options);
    options.flip = false;
    Loader plain(set, train_plan(*set, 16), options);
    const auto found = drain(flipping);
    const auto wanted = drain(plain);
    for (std::int64_t row = 0; row < 16; ++row) {
      const auto key =
          train_plan(*set, 16)->augment_key(0, row, wanted[0].indices[row].item<std::int64_t>());
      const bool flipped = KeyedRandom(key).uniform() < 0.5f;
      EXPECT_TRUE(at::equal(found[0].images[row],
                            flipped ? wanted[0].images[row].flip({1}) : wanted[0].images[row]))
          << side;
    }
  }
}

TEST(CachedLoader, DeliversTheSameAndReadsEachImageOnce) {
  const auto set = std::make_shared<MemorySet>(96);
  for (const bool augment : {false, true}) {
    for (const int threads : {0, 1, 4}) {
      const auto cache = std::make_shared<DecodedCache>(96, kSide);
      for (const std::int64_t epoch : {0, 1, 2}) {
        Loader plain(set, train_plan(*set, 32, 0, 1, epoch), options_with(2, nullptr, augment));
        const auto wanted = drain(plain);
        const int before = set->reads;
        Loader cached(set, train_plan(*set, 32, 0, 1, epoch),
                      options_with(threads, cache, augment));
        expect_same(drain(cached), wanted);
        EXPECT_EQ(set->reads - before, epoch == 0 ? 96 : 0);
        EXPECT_EQ(cache->stored(), 96);
      }
    }
  }
}

TEST(CachedLoader, CorruptImagesAreNotStoredAndListedEveryTime) {
  const auto set = std::make_shared<MemorySet>(32);
  set->images[7] = test::bytes_of("rubbish");
  const auto cache = std::make_shared<DecodedCache>(32, kSide);
  for (int epoch = 0; epoch < 2; ++epoch) {
    LoaderOptions options = options_with(2, cache);
    options.on_corrupt = OnCorrupt::kReplace;
    Loader loader(set, std::make_shared<SequentialPlan>(32, 16, 0, 1), options);
    const auto batches = drain(loader);
    EXPECT_TRUE(at::equal(batches[0].images[7], at::zeros({kSide, kSide, 3}, at::kByte)));
    ASSERT_EQ(loader.replaced().size(), 1u);
    EXPECT_EQ(cache->stored(), 31);
    EXPECT_EQ(cache->find(7), nullptr);
  }
}

TEST(CachedLoader, RefusesTheCacheOfAnotherSet) {
  const auto set = std::make_shared<MemorySet>(8);
  for (const auto& cache :
       {std::make_shared<DecodedCache>(9, kSide), std::make_shared<DecodedCache>(8, kSide + 1)})
    EXPECT_THAT(test::error_of([&] { Loader(set, train_plan(*set, 4), options_with(1, cache)); }),
                HasSubstr("decoded cache"));
}

TEST(DecodedCache, ThreadsThatRaceSeeWholeImages) {
  constexpr std::int64_t kImages = 400;
  DecodedCache cache(kImages, kSide);
  std::atomic<int> wrong = 0;
  const auto race = [&](std::uint8_t mark) {
    std::vector<std::uint8_t> image(std::size_t{3} * kSide * kSide, mark);
    for (std::int64_t i = 0; i < kImages; ++i) {
      cache.store(i, image.data());
      const std::uint8_t* const found = cache.find(i);
      if (found != nullptr && std::count(found, found + image.size(), found[0]) !=
                                  static_cast<std::ptrdiff_t>(image.size()))
        ++wrong;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (const std::uint8_t mark : {1, 2, 3, 4}) threads.emplace_back(race, mark);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cache.stored(), kImages);
  for (std::int64_t i = 0; i < kImages; ++i) EXPECT_NE(cache.find(i), nullptr);
}

TEST(DecodedCache, IsMadeWhenAllImagesFit) {
  constexpr std::int64_t kImages = 1000;
  const double gib =
      static_cast<double>(DecodedCache::bytes_for(kImages, 112)) / (1024.0 * 1024.0 * 1024.0);
  EXPECT_EQ(DecodedCache::bytes_for(kImages, 112), kImages * 37633);
  EXPECT_NE(DecodedCache::when_it_fits(kImages, 112, gib), nullptr);
  EXPECT_EQ(DecodedCache::when_it_fits(kImages + 1, 112, gib), nullptr);
  EXPECT_EQ(DecodedCache::when_it_fits(1, 112, 0.0), nullptr);
  EXPECT_THROW(DecodedCache(0, 112), DataError);
  EXPECT_THROW(DecodedCache(5, 0), DataError);
}

TEST(DecodedCache, CostsMemoryOnceFilledAndGivesItBack) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer keeps four bytes for each";
#endif
  constexpr std::int64_t kImages = 1500;
  constexpr std::int64_t kFull = kImages * 37632;  // 56 MB
  const std::vector<std::uint8_t> image(37632, 9);
  const auto before = resident_bytes();
  auto cache = std::make_unique<DecodedCache>(kImages, 112);
  EXPECT_LT(resident_bytes() - before, kFull / 10);
  for (std::int64_t i = 0; i < kImages; ++i) cache->store(i, image.data());
  EXPECT_GT(resident_bytes() - before, kFull * 9 / 10);
  EXPECT_LT(resident_bytes() - before, kFull * 11 / 10);
  cache.reset();
  EXPECT_LT(resident_bytes() - before, kFull / 10);
}

}  // namespace
}  // namespace diffprob::data
