// Damage to images, labels and what records say of each other.
#include <cmath>
#include <limits>
#include <opencv2/imgcodecs.hpp>

#include "tests/data/check/damage_cases.h"
#include "tests/data/check/damaged_records.h"

namespace diffprob::data::test {
namespace {

std::string encoded(const std::string& extension, int number, int side = kFaceSide) {
  const auto jpeg = bytes_of(face_jpeg(number, side, side));
  const cv::Mat raw(1, static_cast<int>(jpeg.size()), CV_8UC1, const_cast<std::byte*>(jpeg.data()));
  std::vector<std::uint8_t> out;
  cv::imencode(extension, cv::imdecode(raw, cv::IMREAD_COLOR), out);
  return {out.begin(), out.end()};
}

/// Replaces bytes of an image.
auto change(std::uint64_t key, const std::function<void(std::string&)>& edit) {
  return [=](RecordFiles& files) {
    auto image = files.image(key);
    edit(image);
    files.set_image(key, image);
  };
}

auto replace_image(std::uint64_t key, const std::string& image) {
  return [=](RecordFiles& files) { files.set_image(key, image); };
}

auto copy_image(std::vector<std::pair<std::uint64_t, std::uint64_t>> copies) {
  return [=](RecordFiles& files) {
    for (const auto& [from, to] : copies) files.set_image(to, files.image(from));
  };
}

auto label(std::uint64_t key, float value) {
  return [=](RecordFiles& files) { files.set_label(key, value); };
}

std::size_t marker(const std::string& jpeg, char code) {
  return jpeg.find(std::string{'\xff', code});
}

}  // namespace

std::vector<DamageCase> image_damage() {
  return {
      {"first byte of the JPEG flipped",
       change(5, [](auto& image) { image[0] ^= 0x10; }),
       {"corrupt key 5"}},
      {"JPEG of zeros",
       change(1, [](auto& image) { image.assign(image.size(), '\0'); }),
       {"corrupt key 1"}},
      {"text in place of an image",
       replace_image(12, "<html>403 Forbidden</html>"),
       {"corrupt key 12"}},
      {"one byte in place of an image", replace_image(7, "x"), {"corrupt key 7"}},
      {"frame header marker gone",
       change(3, [](auto& image) { image[marker(image, '\xc0') + 1] = '\xee'; }),
       {"corrupt key 3"}},
      {"sides of 65535",
       change(3,
              [](auto& image) { image.replace(marker(image, '\xc0') + 5, 4, "\xff\xff\xff\xff"); }),
       {"corrupt key 3"}},
      {"Huffman table destroyed",
       change(4,
              [](auto& image) {
                image.replace(marker(image, '\xc4') + 5, 16, std::string(16, '\x7f'));
              }),
       {"corrupt key 4"}},
      {"quantisation table marker gone",
       change(4, [](auto& image) { image[marker(image, '\xdb') + 1] = '\xe5'; }),
       {"corrupt key 4"}},
      {"restart markers inside the scan",
       change(8, [](auto& image) { image.replace(image.size() / 2, 4, "\xff\xd3\xff\xd5"); }),
       {"corrupt key 8"}},
      {"end marker inside the scan",
       change(8, [](auto& image) { image.replace(image.size() / 2, 2, "\xff\xd9"); }),
       {"corrupt key 8"}},
      {"ones inside the scan",
       change(9, [](auto& image) { image.replace(image.size() / 2, 64, std::string(64, '\xfe')); }),
       {"corrupt key 9"}},
      {"half a JPEG",
       change(2, [](auto& image) { image.resize(image.size() / 2); }),
       {"truncated key 2"}},
      {"JPEG without its last 100 bytes",
       change(6, [](auto& image) { image.resize(image.size() - 100); }),
       {"truncated key 6"}},
      {"JPEG without its end marker",
       change(6, [](auto& image) { image.resize(image.size() - 2); }),
       {"truncated key 6"}},
      {"JPEG that ends in its header",
       change(11, [](auto& image) { image.resize(40); }),
       {"truncated key 11"}},
      {"second half of a JPEG zero",
       change(10,
              [](auto& image) {
                std::fill(image.begin() + static_cast<std::ptrdiff_t>(image.size() / 2),
                          image.end(), '\0');
              }),
       {"truncated key 10"}},
      {"half a PNG", replace_image(5, encoded(".png", 4).substr(0, 3000)), {"truncated key 5"}},
      {"damaged PNG",
       [](auto& files) {
         auto png = encoded(".png", 4);
         png.replace(300, 8, "damaged!");
         files.set_image(5, png);
       },
       {"corrupt key 5"}},
      {"half a BMP", replace_image(5, encoded(".bmp", 4).substr(0, 9000)), {"truncated key 5"}},
      {"a JPEG of 96 x 96", replace_image(1, face_jpeg(100, 96, 96)), {"wrong_size key 1"}},
      {"a JPEG of 112 x 96", replace_image(12, face_jpeg(100, 112, 96)), {"wrong_size key 12"}},
      {"a PNG of 64 x 64", replace_image(7, encoded(".png", 4, 64)), {"wrong_size key 7"}},
      {"a sound PNG", replace_image(7, encoded(".png", 40)), {}},
      {"a sound BMP", replace_image(7, encoded(".bmp", 40)), {}},
      {"zeros behind a JPEG", change(7, [](auto& image) { image += std::string(6, '\0'); }), {}},
      {"the magic number inside a JPEG", replace_image(7, with_magic(face_jpeg(40))), {}},
  };
}

std::vector<DamageCase> label_damage() {
  return {
      {"label NaN", label(5, std::nanf("")), {"label key 5"}},
      {"label infinite", label(5, std::numeric_limits<float>::infinity()), {"label key 5"}},
      {"label negative", label(12, -1), {"label key 12"}},
      {"label a half", label(1, 0.5f), {"label key 1"}},
      {"label above 31 bits", label(8, 3e9f), {"label key 8"}},
      {"label of one more than the last", label(10, 4), {"label key 10"}},
      {"label far out", label(10, 1e6f), {"label key 10"}},
      {"label of another identity", label(4, 3), {"label key 4"}},
      {"first label of the set", label(1, 2), {"label key 1"}},
      {"last label of the set", label(12, 0), {"label key 12"}},
      {"two labels of one identity",
       [](auto& files) {
         files.set_label(7, 0);
         files.set_label(8, 1);
       },
       {"label key 7", "label key 8"}},
      {"a copy in the identity", copy_image({{4, 6}}), {"duplicate key 6"}},
      {"two copies in the identity",
       copy_image({{4, 5}, {4, 6}}),
       {"duplicate key 5", "duplicate key 6"}},
      {"copies in two identities",
       copy_image({{4, 6}, {10, 11}}),
       {"duplicate key 6", "duplicate key 11"}},
      {"a copy in another identity", copy_image({{2, 9}}), {"conflict key 2", "conflict key 9"}},
      {"copies in both",
       copy_image({{2, 3}, {2, 12}}),
       {"conflict key 2", "conflict key 3", "conflict key 12"}},
      {"a copy of a split record",
       [](auto& files) {
         files.set_image(5, with_magic(face_jpeg(40)));
         files.set_image(4, files.image(5));
       },
       {"duplicate key 5"}},
      {"a damaged copy is no copy",
       [](auto& files) {
         files.set_image(6, files.image(4).substr(0, 1000));
         files.set_image(5, files.image(6));
       },
       {"truncated key 5", "truncated key 6"}},
  };
}

}  // namespace diffprob::data::test
