#include "data/sets/verification_set.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/files/input_file.h"
#include "data/pickle/numpy_values.h"
#include "data/pickle/reader.h"
#include "data/sets/set_names.h"

namespace diffprob::data {
namespace {

constexpr std::int64_t kLargestFile = std::int64_t{1} << 34;
constexpr std::size_t kLargestImage = std::size_t{1} << 28;

std::string_view image_bytes(const PickleValue& value, std::string& storage) {
  std::string_view bytes;
  if (const auto vector = numpy_vector(value, storage)) {
    if (vector->type != "u1" && !vector->type.starts_with('S'))
      value.fail("numpy array of a type other than u1 (" + std::string(vector->type.substr(0, 20)) +
                 ")");
    bytes = vector->bytes;
  } else {
    bytes = bytes_of(value, storage);
  }
  if (bytes.empty()) value.fail("an image without bytes");
  if (bytes.size() > kLargestImage)
    value.fail("an image of " + std::to_string(bytes.size()) + " bytes");
  return bytes;
}

bool checked_flag(double number, const PickleValue& value) {
  if (number != 0 && number != 1) value.fail("expected a same / not same flag, 0 or 1");
  return number == 1;
}

bool flag_of(const PickleValue& value) {
  if (value.is(PickleKind::kBool)) return value.as_bool();
  if (value.is(PickleKind::kFloat)) return checked_flag(value.as_float(), value);
  std::string storage;
  if (const auto scalar = numpy_vector(value, storage)) {
    const auto numbers = numbers_of(*scalar, value);
    if (numbers.size() != 1) value.fail("expected a same / not same flag, found an array");
    return checked_flag(numbers[0], value);
  }
  return checked_flag(static_cast<double>(value.as_int()), value);
}

std::vector<bool> read_flags(const PickleValue& value) {
  std::vector<bool> same;
  std::string storage;
  if (!holds_objects(value)) {
    if (const auto vector = numpy_vector(value, storage)) {
      for (const double number : numbers_of(*vector, value))
        same.push_back(checked_flag(number, value));
      return same;
    }
  }
  for (const auto* item : items_of(value)) same.push_back(flag_of(*item));
  return same;
}

/// A pickle may name one image many times (that is legitimate: a face occurs in several pairs).
/// Copies are bounded all the same.
std::vector<std::vector<std::byte>> read_images(const PickleValue& value, std::size_t file_size) {
  const std::size_t most = 64 * file_size + (std::size_t{1} << 28);
  std::size_t total = 0;
  std::vector<std::vector<std::byte>> images;
  const auto& items = items_of(value);
  images.reserve(items.size());
  std::string storage;
  for (const auto* item : items) {
    const auto bytes = std::as_bytes(std::span(image_bytes(*item, storage)));
    total += bytes.size();
    if (total > most)
      item->fail("images are repeated too often (more than " + std::to_string(most) +
                 " bytes in total)");
    images.emplace_back(bytes.begin(), bytes.end());
  }
  return images;
}

void append_unsigned(std::string& out, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

void check_counts(const std::string& path, std::size_t images, std::size_t pairs) {
  if (pairs == 0) throw DataError(path + ": no pairs");
  if (images != 2 * pairs)
    throw DataError(path + ": " + std::to_string(images) + " images for " + std::to_string(pairs) +
                    " pairs, expected " + std::to_string(2 * pairs));
}

}  // namespace

VerificationSet read_verification_bin(const std::string& path) {
  std::vector<std::byte> bytes;
  read_whole_file(path, kLargestFile, bytes);
  const Pickle pickle = read_pickle(bytes, numpy_globals(), path);
  if (pickle.consumed() != bytes.size())
    throw DataError(path + ": " + std::to_string(bytes.size() - pickle.consumed()) +
                    " extra bytes after the pickle");
  const auto size = bytes.size();
  std::vector<std::byte>().swap(bytes);  // the pickle holds copies
  const auto& parts = pickle.root().as_sequence();
  if (parts.size() != 2)
    pickle.root().fail("expected a tuple or list of images and flags, found one of " +
                       std::to_string(parts.size()));
  VerificationSet set;
  set.name = set_name(path);
  set.same = read_flags(*parts[1]);
  check_counts(path, items_of(*parts[0]).size(), set.same.size());
  set.images = read_images(*parts[0], size);
  return set;
}

void write_verification_bin(const std::string& path, const VerificationSet& set) {
  check_counts(path, set.images.size(), set.same.size());
  AtomicFile file(path);
  file.write(std::string_view("\x80\x02](", 4));  // PROTO 2, EMPTY_LIST, MARK
  for (const auto& image : set.images) {
    if (image.empty() || image.size() > kLargestImage)
      throw DataError(path + ": an image of " + std::to_string(image.size()) +
                      " bytes cannot be written");
    std::string head(1, image.size() < 256 ? 'U' : 'T');  // SHORT_BINSTRING, BINSTRING
    append_unsigned(head, image.size(), image.size() < 256 ? 1 : 4);
    file.write(head);
    file.write(image);
  }
  file.write("e](");  // APPENDS, EMPTY_LIST, MARK
  for (const bool same : set.same) file.write(same ? "\x88" : "\x89");
  file.write("e\x86.");  // APPENDS, TUPLE2, STOP
  file.commit();
}

}  // namespace diffprob::data
