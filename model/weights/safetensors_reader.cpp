#include <algorithm>

#include <ATen/ops/empty.h>

#include "data/error.h"
#include "model/weights/safetensors.h"
#include "model/weights/safetensors_header.h"

namespace diffprob::model {
namespace {

constexpr std::uint64_t kLengthBytes = 8, kLongestHeader = 100'000'000,
                        kMostElements = std::uint64_t{1} << 62;

[[noreturn]] void fail(const data::InputFile& file, const std::string& message) {
  throw data::DataError(file.path() + ": safetensors: " + message);
}

std::uint64_t header_length(const data::InputFile& file) {
  std::array<std::byte, kLengthBytes> bytes{};
  file.read(0, bytes);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return length;
}

const SafetensorsType* find_type(const std::string& name) {
  const auto* const found =
      std::find_if(kSafetensorsTypes.begin(), kSafetensorsTypes.end(),
                   [&](const SafetensorsType& type) { return name == type.name; });
  return found == kSafetensorsTypes.end() ? nullptr : found;
}

/// Offsets in order and inside the data; tensors side by side.
void check_layout(const data::InputFile& file, const std::vector<SafetensorsEntry>& entries,
                  std::uint64_t data_bytes) {
  std::vector<const SafetensorsEntry*> sorted;
  for (const auto& entry : entries) {
    if (entry.type.empty() || !entry.has_shape || entry.offsets.size() != 2)
      fail(file, "entry " + entry.name + ": expected dtype, shape and two data_offsets");
    sorted.push_back(&entry);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->offsets < b->offsets; });
  std::uint64_t at = 0;
  for (const auto* entry : sorted) {
    if (entry->offsets[0] != at || entry->offsets[1] < at || entry->offsets[1] > data_bytes) {
      fail(file, "entry " + entry->name + ": expected bytes from " + std::to_string(at) +
                     " on, at most to " + std::to_string(data_bytes) + ", found " +
                     std::to_string(entry->offsets[0]) + " to " +
                     std::to_string(entry->offsets[1]));
    }
    at = entry->offsets[1];
  }
  if (at != data_bytes) {
    fail(file, "the tensors have " + std::to_string(at) + " bytes, but " +
                   std::to_string(data_bytes) + " follow the header");
  }
}

at::Tensor read_tensor(const data::InputFile& file, const SafetensorsEntry& entry,
                       std::uint64_t data_begin) {
  const SafetensorsType* const type = find_type(entry.type);
  if (type == nullptr)
    fail(file, "entry " + entry.name + ": values of the unsupported type " + entry.type);
  std::uint64_t bytes = c10::elementSize(type->type);
  std::vector<std::int64_t> sizes;
  bool overflow = false;
  for (const std::uint64_t size : entry.shape) {
    overflow = overflow || size > kMostElements || __builtin_mul_overflow(bytes, size, &bytes);
    sizes.push_back(static_cast<std::int64_t>(size));
  }
  const std::uint64_t found = entry.offsets[1] - entry.offsets[0];
  if (overflow || bytes != found) {
    fail(file, "entry " + entry.name + ": its type and shape do not make up its " +
                   std::to_string(found) + " bytes");
  }
  at::Tensor tensor = at::empty(sizes, type->type);
  auto* const data = static_cast<std::byte*>(tensor.data_ptr());
  file.read(static_cast<std::int64_t>(data_begin + entry.offsets[0]), {data, found});
  if (type->type == at::kBool &&
      std::any_of(data, data + found, [](std::byte b) { return b > std::byte{1}; }))
    fail(file, "entry " + entry.name + ": a bool that is neither 0 nor 1");
  return tensor;
}

}  // namespace

bool is_safetensors(const data::InputFile& file) {
  const auto size = static_cast<std::uint64_t>(file.size());
  if (size < kLengthBytes + 2) return false;
  const std::uint64_t length = header_length(file);
  std::array<std::byte, 1> first{};
  file.read(kLengthBytes, first);
  return first[0] == std::byte{'{'} && length >= 2 && length <= kLongestHeader &&
         length <= size - kLengthBytes;
}

StateDict read_safetensors(const data::InputFile& file, const EntryFilter& wanted) {
  if (!is_safetensors(file)) fail(file, "no header (truncated?)");
  const std::uint64_t length = header_length(file);
  std::string header(length, '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(header)));
  const auto entries = parse_safetensors_header(header, file.path());
  const std::uint64_t data_begin = kLengthBytes + length;
  check_layout(file, entries, static_cast<std::uint64_t>(file.size()) - data_begin);
  StateDict result;
  for (const SafetensorsEntry& entry : entries) {
    if (!wanted || wanted(entry.name))
      result.emplace_back(entry.name, read_tensor(file, entry, data_begin));
  }
  return result;
}

}  // namespace diffprob::model
