#include <turbojpeg.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "data/records/record_io.h"
#include "tests/bench/long_tail.h"
#include "tests/bench/rehearsal/stages.h"

namespace diffprob::rehearsal {
namespace {

constexpr int kSide = 112;
constexpr std::size_t kPictures = 64;
constexpr std::size_t kCommentBytes = 14;  // marker, length, ten digits

/// A grey ramp, with a comment behind the first marker that number_image() fills in.
std::vector<std::byte> make_picture(std::size_t which) {
  std::array<unsigned char, kSide * kSide> pixels{};
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t x = 0; x < kSide; ++x)
      pixels[y * kSide + x] =
          static_cast<unsigned char>((x * (which % 8) + y * (which / 8)) / 8 + which);
  }
  unsigned char* jpeg = nullptr;
  unsigned long bytes = 0;  // NOLINT(google-runtime-int): tjCompress2 takes it
  const tjhandle compressor = tjInitCompress();
  const int failed = tjCompress2(compressor, pixels.data(), kSide, 0, kSide, TJPF_GRAY, &jpeg,
                                 &bytes, TJSAMP_GRAY, 20, 0);
  tjDestroy(compressor);
  if (failed != 0) throw std::runtime_error("TurboJPEG does not compress");
  std::vector<std::byte> image(bytes + kCommentBytes);
  std::memcpy(image.data(), jpeg, 2);
  std::memcpy(&image[2], "\xff\xfe\x00\x0c", 4);
  std::memcpy(&image[2 + kCommentBytes], jpeg + 2, bytes - 2);
  tjFree(jpeg);
  return image;
}

void number_image(std::vector<std::byte>& image, std::int64_t number) {
  std::array<char, 11> digits{};
  std::snprintf(digits.data(), digits.size(), "%010lld", static_cast<long long>(number));
  std::memcpy(&image[6], digits.data(), 10);
}

}  // namespace

void write_set(const std::string& folder, std::int64_t samples, std::int64_t identities,
               int shards) {
  std::vector<std::vector<std::byte>> pictures;
  for (std::size_t i = 0; i < kPictures; ++i) pictures.push_back(make_picture(i));
  const auto sizes = long_tailed_sizes(samples, identities);
  std::int64_t written = 0, bytes = 0, copies = 0;
  std::size_t next = 0;  // identity
  for (int shard = 0; shard < shards; ++shard) {
    data::RecordWriter writer(folder + "/shard_" + std::to_string(shard), kSide);
    const std::int64_t end = samples * (shard + 1) / shards;
    const std::int64_t first = written;
    for (std::int64_t label = 0; next < sizes.size() && written < end; ++next, ++label) {
      for (std::int64_t i = 0; i < sizes[next]; ++i, ++written) {
        const bool copy = (written - first) % 1000 == 999;
        const std::int64_t number = copy ? written - 1 : written;
        auto& image = pictures[static_cast<std::size_t>(number) % kPictures];
        number_image(image, number);
        writer.add(label, image);
        bytes += static_cast<std::int64_t>(image.size());
        copies += copy ? 1 : 0;
      }
    }
    writer.finish();
  }
  std::printf(
      "{\"samples\": %lld, \"identities\": %zu, \"largest\": %lld, \"image_bytes\": %lld, "
      "\"copies\": %lld}\n",
      static_cast<long long>(written), next,
      static_cast<long long>(*std::max_element(sizes.begin(), sizes.end())),
      static_cast<long long>(bytes), static_cast<long long>(copies));
}

}  // namespace diffprob::rehearsal
