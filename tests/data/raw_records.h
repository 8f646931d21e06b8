#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/data/test_files.h"

namespace diffprob::data::test {

inline const std::string kMagicBytes = "\x0a\x23\xd7\xce";

/// Writes RecordIO byte by byte, straight from the description of the format; shares nothing with
/// the code under test.
class RawRecords {
 public:
  static std::string part(unsigned cflag, const std::string& payload) {
    std::string out = kMagicBytes + number(cflag << 29 | payload.size(), 4) + payload;
    while (out.size() % 4 != 0) out += '\0';
    return out;
  }

  static std::string payload(unsigned flag, float label, std::uint64_t id,
                             const std::vector<float>& labels, const std::string& image,
                             std::uint64_t id2 = 0) {
    std::string out = number(flag, 4) + number(label) + number(id, 8) + number(id2, 8);
    for (const float value : labels) out += number(value);
    return out + image;
  }

  /// One record: cut at every aligned magic number.
  void add(std::uint64_t key, const std::string& content) {
    entries.emplace_back(key, rec.size());
    std::vector<std::string> pieces(1);
    for (std::size_t i = 0; i < content.size();) {
      if (i % 4 == 0 && content.compare(i, 4, kMagicBytes) == 0) {
        pieces.emplace_back();
        i += 4;
      } else {
        pieces.back() += content[i++];
      }
    }
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      const unsigned cflag = pieces.size() == 1 ? 0 : p == 0 ? 1 : p + 1 < pieces.size() ? 2 : 3;
      rec += part(cflag, pieces[p]);
    }
  }

  void add_image(std::uint64_t key, float label, const std::string& image) {
    add(key, payload(0, label, key, {}, image));
  }
  void add_vector_image(std::uint64_t key, float label, const std::string& image) {
    add(key, payload(2, 0.0f, key, {label, 1.0f}, image));
  }
  void add_range(std::uint64_t key, float first, float second) {
    add(key, payload(2, 0.0f, key, {first, second}, ""));
  }

  [[nodiscard]] std::string idx() const {
    std::string out;
    for (const auto& [key, offset] : entries)
      out += std::to_string(key) + "\t" + std::to_string(offset) + "\n";
    return out;
  }

  void write(const std::string& stem, bool with_index = true) const {
    write_file(stem + ".rec", rec);
    if (with_index) write_file(stem + ".idx", idx());
  }

  std::string rec;
  std::vector<std::pair<std::uint64_t, std::size_t>> entries;
};

}  // namespace diffprob::data::test
