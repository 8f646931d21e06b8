#include <algorithm>

#include <nlohmann/json.hpp>

#include "data/files/atomic_file.h"
#include "data/files/sha256.h"
#include "model/weights/little_endian.h"
#include "model/weights/safetensors_header.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

const char* type_name(const std::string& name, at::ScalarType type) {
  for (const SafetensorsType& known : kSafetensorsTypes) {
    if (known.type == type) return known.name;
  }
  TORCH_CHECK(false, "weight file: entry ", name, " has the unsupported type ", type);
}

/// Wide types first: each value then lies at a multiple of its width, as readers that map the file
/// expect.
StateDict by_width(StateDict entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });
  return entries;
}

std::string header_of(const StateDict& entries) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::size_t at = 0;
  for (const auto& [name, tensor] : entries) {
    TORCH_CHECK(!header.contains(name), "weight file: two entries named ", name);
    const std::size_t end = at + tensor.nbytes();
    header[name] = {{"dtype", type_name(name, tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  constexpr std::size_t kAlignment = 8;
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  return text;
}

}  // namespace

WrittenFile write_safetensors(const std::string& path, const StateDict& given) {
  const StateDict entries = by_width(given);
  const std::string header = header_of(entries);
  std::string length;
  append_little_endian(length, std::uint64_t{header.size()});
  data::AtomicFile file(path);
  data::Sha256 digest;
  const auto put = [&](std::span<const std::byte> bytes) {
    digest.update(bytes);
    file.write(bytes);
  };
  put(std::as_bytes(std::span(length)));
  put(std::as_bytes(std::span(header)));
  for (const auto& [name, tensor] : entries) {
    const at::Tensor values = tensor.detach().cpu().contiguous();
    put({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
  }
  file.commit();
  return {file.size(), digest.hex()};
}

}  // namespace diffprob::model
