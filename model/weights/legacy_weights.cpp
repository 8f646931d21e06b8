// Weight files of before PyTorch 1.6: pickles of a magic number, of a version, of facts about the
// machine, of the object and of the list of storage keys; then, in the order of that list, the
// number of elements and the bytes of each storage.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/ops/empty.h>

#include "data/error.h"
#include "data/files/input_file.h"
#include "model/weights/pickled_file.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kMostPickles = std::int64_t{1} << 28;  // bytes of the pickles together

struct Storage {
  std::int64_t begin = 0;
  std::int64_t elements = 0;
};

class LegacyWeights {
 public:
  explicit LegacyWeights(const std::string& path) : file_(path) {}

  data::Pickle read_pickles() {
    std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(file_.size(), kMostPickles)));
    file_.read(0, bytes);
    std::span<const std::byte> rest(bytes);
    take(rest, "magic number");
    take(rest, "version");
    check_byte_order(take(rest, "system").root());
    data::Pickle object = take(rest, "object");
    const data::Pickle keys = take(rest, "storage keys");
    find_storages(object, keys.root(), static_cast<std::int64_t>(bytes.size() - rest.size()));
    return object;
  }

  at::Tensor load(const std::string& key, at::ScalarType type, std::int64_t elements,
                  const data::PickleValue& value) const {
    const auto found = storages_.find(key);
    if (found == storages_.end()) value.fail("storage " + key + ": not in the list of storages");
    if (found->second.elements != elements) {
      value.fail("storage " + key + ": expected " + std::to_string(elements) + " elements, found " +
                 std::to_string(found->second.elements));
    }
    at::Tensor storage = at::empty({elements}, type);
    file_.read(found->second.begin,
               {static_cast<std::byte*>(storage.data_ptr()), storage.nbytes()});
    check_bools(storage, key, value);
    return storage;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw data::DataError(file_.path() + ": " + message);
  }

  data::Pickle take(std::span<const std::byte>& rest, const char* what) const {
    data::Pickle pickle = data::read_pickle(
        rest, weight_globals(), file_.path() + " (" + what + ")", {}, data::PickleUnknown::kOpaque);
    rest = rest.subspan(pickle.consumed());
    return pickle;
  }

  void check_byte_order(const data::PickleValue& system) const {
    for (std::size_t i = 0; i + 1 < system.items.size(); i += 2) {
      const auto& key = *system.items[i];
      if (key.is(data::PickleKind::kString) && key.text == "little_endian" &&
          !system.items[i + 1]->as_bool())
        fail("expected little-endian storages, found big-endian ones");
    }
  }

  /// Bytes per element of each storage that the object mentions.
  static std::map<std::string, std::size_t> widths_of(const data::Pickle& object) {
    std::map<std::string, std::size_t> widths;
    for (const data::PickleValue* id : object.persistent_ids()) {
      const data::PickleValue& parts = *id->arguments;
      if (!parts.is(data::PickleKind::kTuple) || parts.items.size() < 5 ||
          parts.items[0]->text != "storage")
        continue;
      widths.insert_or_assign(parts.items[2]->as_text(),
                              c10::elementSize(storage_type(*parts.items[1])));
    }
    return widths;
  }

  void find_storages(const data::Pickle& object, const data::PickleValue& keys, std::int64_t at) {
    const auto widths = widths_of(object);
    for (const data::PickleValue* key : keys.as_list()) {
      const std::string& name = key->as_text();
      const auto width = widths.find(name);
      if (width == widths.end()) key->fail("storage " + name + ": the object does not mention it");
      const std::int64_t elements = read_count(at);
      at += static_cast<std::int64_t>(sizeof(elements));
      const std::int64_t left = file_.size() - at;
      if (elements < 0 || elements > left / static_cast<std::int64_t>(width->second)) {
        key->fail("storage " + name + ": claims " + std::to_string(elements) + " elements, but " +
                  std::to_string(left) + " bytes are left in the file");
      }
      if (!storages_.emplace(name, Storage{at, elements}).second)
        key->fail("storage " + name + " appears twice");
      at += elements * static_cast<std::int64_t>(width->second);
    }
  }

  [[nodiscard]] std::int64_t read_count(std::int64_t at) const {
    std::array<std::byte, 8> bytes{};
    if (file_.size() - at < static_cast<std::int64_t>(bytes.size()))
      fail("truncated: the number of elements of a storage is missing");
    file_.read(at, bytes);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    return static_cast<std::int64_t>(value);
  }

  data::InputFile file_;
  std::map<std::string, Storage> storages_;
};

}  // namespace

PickledFile open_legacy_weights(const std::string& path) {
  const auto file = std::make_shared<LegacyWeights>(path);
  return {file->read_pickles(),
          PickledTensors([file](const std::string& key, at::ScalarType type, std::int64_t elements,
                                const data::PickleValue& value) {
            return file->load(key, type, elements, value);
          })};
}

std::string_view legacy_magic() noexcept {
  return {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15};
}

}  // namespace diffprob::model
