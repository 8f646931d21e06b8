#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "data/check/finding.h"
#include "data/images/jpeg_decoder.h"
#include "tests/data/raw_records.h"

namespace diffprob::data::test {

inline constexpr int kFaceSide = 112;
inline constexpr int kIdentities = 4;
inline constexpr int kImagesEach = 3;
inline constexpr int kImages = kIdentities * kImagesEach;

/// A picture of its own for every number.
inline std::string face_jpeg(int number, int width = kFaceSide, int height = kFaceSide) {
  std::mt19937 random(static_cast<unsigned>(number));
  const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
  const unsigned base[3] = {below(200), below(200), below(200)};
  std::vector<std::uint8_t> rgb;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (const unsigned value : base)
        rgb.push_back(
            static_cast<std::uint8_t>(value + static_cast<unsigned>(x * y) / 300 + below(9)));
  return text_of(encode_jpeg(rgb, width, height, 90));
}

/// `jpeg` with a comment that holds the magic number where it will stand at a multiple of 4:
/// writers split such records. Three numbers: a first, two middle and a last part.
inline std::string with_magic(const std::string& jpeg) {
  std::string comment;
  for (int i = 0; i < 3; ++i) comment += "ab" + kMagicBytes + "cd";
  comment += "ab";
  return jpeg.substr(0, 2) + "\xff\xfe" + std::string(1, '\0') +
         static_cast<char>(comment.size() + 2) + comment + jpeg.substr(2);
}

/// A set in the InsightFace layout that tests damage: 4 identities of 3 images (keys 1..12), header
/// under key 0, identity records 13..16.
struct RecordFiles {
  struct Record {
    std::uint64_t key;
    std::string payload;
  };
  std::vector<Record> records;
  std::string rec;
  std::string idx;
  std::string property = "4,112,112\n";
  std::vector<std::pair<std::uint64_t, std::size_t>> entries;
  bool indexed = true;

  static RecordFiles sound() {
    RecordFiles files;
    for (int i = 0; i < kImages; ++i)
      files.records.push_back(
          {static_cast<std::uint64_t>(i + 1),
           image_payload(i + 1, static_cast<float>(i / kImagesEach), face_jpeg(i))});
    files.records.push_back(
        {0, RawRecords::payload(2, 0, 0, {kImages + 1, kImages + 1 + kIdentities}, "")});
    for (int c = 0; c < kIdentities; ++c)
      files.records.push_back(
          {identity_key(c), identity_payload(c, 1 + c * kImagesEach, 1 + (c + 1) * kImagesEach)});
    files.build();
    return files;
  }

  static std::uint64_t identity_key(int c) { return static_cast<std::uint64_t>(kImages + 1 + c); }
  static std::string image_payload(std::uint64_t key, float label, const std::string& image) {
    return RawRecords::payload(2, 0, key, {label, 1}, image);
  }
  static std::string identity_payload(int c, int first, int last) {
    return RawRecords::payload(2, 0, identity_key(c),
                               {static_cast<float>(first), static_cast<float>(last)}, "");
  }

  [[nodiscard]] std::string& payload(std::uint64_t key) {
    return std::ranges::find(records, key, &Record::key)->payload;
  }
  [[nodiscard]] std::string image(std::uint64_t key) { return payload(key).substr(32); }
  [[nodiscard]] std::size_t offset(std::uint64_t key) const {
    return std::ranges::find(entries, key, &std::pair<std::uint64_t, std::size_t>::first)->second;
  }
  [[nodiscard]] std::string line(std::uint64_t key) const {
    return std::to_string(key) + "\t" + std::to_string(offset(key)) + "\n";
  }

  /// Records to bytes; damage to the bytes comes behind.
  void build() {
    RawRecords raw;
    for (const auto& record : records) raw.add(record.key, record.payload);
    rec = raw.rec;
    idx = raw.idx();
    entries = raw.entries;
  }
  void set_image(std::uint64_t key, const std::string& bytes) {
    payload(key) = payload(key).substr(0, 32) + bytes;
    build();
  }
  void set_label(std::uint64_t key, float label) {
    payload(key).replace(24, 4, number(label));
    build();
  }
  void set_range(std::uint64_t key, float first, float last) {
    payload(key).replace(24, 8, number(first) + number(last));
    build();
  }
  /// Bytes of the .rec, from the head of a record on.
  void overwrite(std::uint64_t key, std::size_t at, const std::string& bytes) {
    rec.replace(offset(key) + at, bytes.size(), bytes);
  }
  void set_length(std::uint64_t key, std::size_t length, unsigned cflag = 0) {
    overwrite(key, 4, number(std::uint64_t{cflag} << 29 | length, 4));
  }
  void replace_line(std::uint64_t key, const std::string& text) {
    idx.replace(idx.find(line(key)), line(key).size(), text);
  }

  void write(const std::string& folder) const {
    std::filesystem::create_directories(folder);
    write_file(folder + "/train.rec", rec);
    if (indexed) write_file(folder + "/train.idx", idx);
    if (!property.empty()) write_file(folder + "/property", property);
  }
};

/// "corrupt key 5", "empty_identity labels 2 to 3", "record offset 120", "layout".
inline std::string short_text(const Finding& finding) {
  const std::string name = name_of(finding.kind);
  if (finding.kind == FindingKind::kEmptyIdentity)
    return name + " labels " + std::to_string(finding.label) + " to " +
           std::to_string(finding.other);
  if (finding.key >= 0) return name + " key " + std::to_string(finding.key);
  return finding.offset >= 0 ? name + " offset " + std::to_string(finding.offset) : name;
}

}  // namespace diffprob::data::test
