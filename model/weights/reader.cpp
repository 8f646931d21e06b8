// Reads .pth files. Whatever the file says about names, sizes, strides or records is checked before
// it is used.
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>

#include "data/error.h"
#include "data/pickle/reader.h"
#include "model/weights/pth_storage.h"
#include "model/weights/stored_zip.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

constexpr const char* kOrderedDict = "collections.OrderedDict";
constexpr const char* kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr const char* kRebuildParameter = "torch._utils._rebuild_parameter";

data::PickleGlobals allowed_globals() {
  data::PickleGlobals names = {kOrderedDict, kRebuildTensor, kRebuildParameter};
  for (const StorageClass& storage : kStorageClasses)
    names.insert(std::string("torch.") + storage.name);
  return names;
}

bool is_mapping(const data::PickleValue& value) {
  return value.is(data::PickleKind::kDict) || value.is_call(kOrderedDict);
}

std::vector<std::int64_t> dimensions(const data::PickleValue& value) {
  std::vector<std::int64_t> result;
  for (const data::PickleValue* item : value.as_tuple()) {
    result.push_back(item->as_int());
    if (result.back() < 0)
      item->fail("expected a size or stride of at least 0, found " + std::to_string(result.back()));
  }
  return result;
}

/// Elements that a view with these sizes and strides reaches, from its offset on: 0 when it is
/// empty. Negative when a product overflows.
std::int64_t extent_of(const std::vector<std::int64_t>& sizes,
                       const std::vector<std::int64_t>& strides) {
  std::int64_t count = 1, reach = 1;
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return 0;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    std::int64_t step = 0;
    if (__builtin_mul_overflow(count, sizes[d], &count) ||
        __builtin_mul_overflow(sizes[d] - 1, strides[d], &step) ||
        __builtin_add_overflow(reach, step, &reach)) {
      return -1;
    }
  }
  return count > std::numeric_limits<std::int64_t>::max() / 16 ? -1 : reach;
}

class WeightFile {
 public:
  explicit WeightFile(const std::string& path) : zip_(path), prefix_(find_prefix()) {}

  StateDict read() {
    check_byte_order();
    const std::vector<std::byte> bytes = read_record("data.pkl");
    const data::Pickle pickle =
        data::read_pickle(bytes, allowed_globals(), zip_.file().path() + " (data.pkl)");
    const data::PickleValue& entries = find_state_dict(pickle.root());
    StateDict result;
    std::set<std::string> names;
    for (std::size_t i = 0; i + 1 < entries.items.size(); i += 2) {
      const std::string& name = entries.items[i]->as_text();
      if (!names.insert(name).second) entries.items[i]->fail("entry " + name + " appears twice");
      result.emplace_back(name, tensor_of(name, *entries.items[i + 1]));
    }
    return result;
  }

 private:
  /// "<prefix>/" of the one "<prefix>/data.pkl".
  std::string find_prefix() const {
    for (const auto& [name, record] : zip_.records()) {
      const std::size_t slash = name.find('/');
      if (slash != std::string::npos && name.substr(slash) == "/data.pkl")
        return name.substr(0, slash + 1);
    }
    throw data::DataError(
        zip_.file().path() +
        ": expected a record <name>/data.pkl as torch.save writes it, found none");
  }

  std::vector<std::byte> read_record(const std::string& name) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(zip_.record(prefix_ + name).size));
    zip_.read(prefix_ + name, bytes);
    return bytes;
  }

  void check_byte_order() const {
    if (!zip_.records().contains(prefix_ + "byteorder"))
      return;  // before PyTorch 2.1: little-endian
    const std::vector<std::byte> bytes = read_record("byteorder");
    const std::string order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (order != "little")
      throw data::DataError(zip_.file().path() + ": expected byte order 'little', found '" + order +
                            "'");
  }

  /// The dictionary itself, or that inside the dictionaries of a training checkpoint.
  static const data::PickleValue& find_state_dict(const data::PickleValue& root) {
    constexpr int kMostLevels = 4;  // a damaged file may hold itself
    const data::PickleValue* found = &root;
    for (int level = 0; level < kMostLevels; ++level) {
      if (found->is_call(kRebuildTensor) || found->is_call(kRebuildParameter))
        found->fail(
            "expected a state dict (OrderedDict or dict), found a single tensor (class weights of "
            "a head instead of a network?)");
      if (!is_mapping(*found)) found->fail("expected a state dict (OrderedDict or dict)");
      const auto* const inner = inner_dictionary(*found);
      if (inner == nullptr) break;
      found = inner;
    }
    return *found;
  }

  /// What stands under one of the names that trainers give the weights of the network.
  static const data::PickleValue* inner_dictionary(const data::PickleValue& mapping) {
    constexpr std::array<std::string_view, 8> kNames = {"state_dict",
                                                        "state_dict_backbone",
                                                        "model_state_dict",
                                                        "backbone",
                                                        "model",
                                                        "net",
                                                        "network",
                                                        "weights"};
    for (const auto name : kNames) {
      for (std::size_t i = 0; i + 1 < mapping.items.size(); i += 2) {
        const auto& key = *mapping.items[i];
        if (!key.is(data::PickleKind::kString) || key.text != name) continue;
        const auto& value = *mapping.items[i + 1];
        if (is_mapping(value)) return &value;
        if (name == "state_dict") value.fail("'state_dict': expected a dict");
      }
    }
    return nullptr;
  }

  at::Tensor tensor_of(const std::string& name, const data::PickleValue& value) {
    const data::PickleValue* tensor = &value;
    if (tensor->is_call(kRebuildParameter)) {
      const auto& arguments = tensor->arguments->as_tuple();
      if (arguments.empty()) value.fail("entry " + name + ": a parameter without a tensor");
      tensor = arguments[0];
    }
    if (!tensor->is_call(kRebuildTensor))
      value.fail("entry " + name + ": expected a tensor, found " + name_of(tensor->kind));
    const auto& arguments = tensor->arguments->as_tuple();
    if (arguments.size() < 4)
      value.fail("entry " + name + ": expected at least 4 arguments of a tensor, found " +
                 std::to_string(arguments.size()));
    const at::Tensor storage = storage_of(name, *arguments[0]);
    const std::int64_t offset = arguments[1]->as_int();
    const std::vector<std::int64_t> sizes = dimensions(*arguments[2]),
                                    strides = dimensions(*arguments[3]);
    if (sizes.size() != strides.size())
      value.fail("entry " + name + ": has " + std::to_string(sizes.size()) + " sizes but " +
                 std::to_string(strides.size()) + " strides");
    constexpr std::size_t kMostDimensions = 64;
    if (sizes.size() > kMostDimensions)
      value.fail("entry " + name + ": has " + std::to_string(sizes.size()) + " dimensions");
    const std::int64_t extent = extent_of(sizes, strides);
    if (extent < 0 || offset < 0 || offset > storage.numel() || extent > storage.numel() - offset) {
      value.fail("entry " + name + ": extends beyond its storage of " +
                 std::to_string(storage.numel()) + " elements");
    }
    return storage.as_strided(sizes, strides, offset);
  }

  /// ('storage', torch.XStorage, key, device, elements). Read once for each key: views of one
  /// storage stay views of one storage.
  at::Tensor storage_of(const std::string& name, const data::PickleValue& value) {
    if (!value.is(data::PickleKind::kPersistentId))
      value.fail("entry " + name + ": expected a storage, found " + name_of(value.kind));
    const auto& id = value.arguments->as_tuple(5);
    if (id[0]->as_text() != "storage")
      id[0]->fail("entry " + name + ": expected 'storage', found '" + id[0]->text + "'");
    const at::ScalarType type = type_of(*id[1]);
    const std::string& key = id[2]->as_text();
    auto& [storage, known] = storages_[key];
    if (!known) {
      storage = load_storage(key, type, id[4]->as_int(), value);
      known = true;
    }
    if (storage.scalar_type() != type)
      value.fail("entry " + name + ": storage " + key + " is used with two types");
    if (storage.numel() != id[4]->as_int())
      value.fail("entry " + name + ": storage " + key + " is used with two sizes");
    return storage;
  }

  static at::ScalarType type_of(const data::PickleValue& value) {
    for (const StorageClass& storage : kStorageClasses) {
      if (value.is_global(std::string("torch.") + storage.name)) return storage.type;
    }
    value.fail("expected a storage class such as torch.FloatStorage");
  }

  at::Tensor load_storage(const std::string& key, at::ScalarType type, std::int64_t elements,
                          const data::PickleValue& value) {
    const std::string record = prefix_ + "data/" + key;
    const std::int64_t bytes = zip_.record(record).size;
    const auto width = static_cast<std::int64_t>(c10::elementSize(type));
    if (elements < 0 || bytes % width != 0 || bytes / width != elements) {
      value.fail("storage " + key + ": expected " + std::to_string(elements) + " elements of " +
                 std::to_string(width) + " bytes, found " + std::to_string(bytes) + " bytes");
    }
    loaded_ += bytes;
    if (loaded_ > zip_.file().size())
      value.fail("records overlap: together they are larger than the file");
    at::Tensor storage = at::empty({elements}, type);
    auto* data = static_cast<std::byte*>(storage.data_ptr());
    zip_.read(record, {data, static_cast<std::size_t>(bytes)});
    if (type == at::kBool &&
        std::any_of(data, data + bytes, [](std::byte b) { return b > std::byte{1}; })) {
      value.fail("storage " + key + ": a bool that is neither 0 nor 1");
    }
    return storage;
  }

  StoredZip zip_;
  std::string prefix_;
  std::map<std::string, std::pair<at::Tensor, bool>> storages_;
  std::int64_t loaded_ = 0;
};

/// Files of before PyTorch 1.6 are not zips: a pickle (protocol 2) of a magic number comes first,
/// in the oldest a tar.
void refuse_old_files(const std::string& path) {
  const data::InputFile file(path);
  std::array<std::byte, 4> start{};
  if (file.size() < static_cast<std::int64_t>(start.size())) {
    throw data::DataError(path + ": expected a zip of torch.save, found " +
                          std::to_string(file.size()) + " bytes");
  }
  file.read(0, start);
  if (start[0] == std::byte{'P'} && start[1] == std::byte{'K'}) return;
  if (start[0] == std::byte{0x80}) {
    throw data::DataError(path +
                          ": expected a zip of torch.save, found a plain pickle as PyTorch wrote "
                          "it before 1.6; load and save it again with a newer PyTorch");
  }
  throw data::DataError(path + ": expected a zip of torch.save, found something else");
}

}  // namespace

StateDict read_pth(const std::string& path) {
  torch::NoGradGuard no_grad;
  refuse_old_files(path);
  return WeightFile(path).read();
}

}  // namespace diffprob::model
