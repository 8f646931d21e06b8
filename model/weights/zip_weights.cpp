// Weight files that are zips, as torch.save writes them since PyTorch 1.6.
#include <memory>
#include <vector>

#include <ATen/ops/empty.h>

#include "data/error.h"
#include "model/weights/pickled_file.h"
#include "model/weights/stored_zip.h"

namespace diffprob::model {
namespace {

class ZipWeights {
 public:
  explicit ZipWeights(const std::string& path) : zip_(path), prefix_(find_prefix()) {
    check_byte_order();
  }

  [[nodiscard]] data::Pickle read_pickle() const {
    return data::read_pickle(read_record("data.pkl"), weight_globals(),
                             zip_.file().path() + " (data.pkl)", {}, data::PickleUnknown::kOpaque);
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
    check_bools(storage, key, value);
    return storage;
  }

 private:
  /// "<prefix>/" of the one "<prefix>/data.pkl".
  [[nodiscard]] std::string find_prefix() const {
    for (const auto& [name, record] : zip_.records()) {
      const std::size_t slash = name.find('/');
      if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
      const std::string prefix = name.substr(0, slash + 1);
      refuse_script(prefix);
      return prefix;
    }
    throw data::DataError(
        zip_.file().path() +
        ": expected a record <name>/data.pkl as torch.save writes it, found none");
  }

  void refuse_script(const std::string& prefix) const {
    if (!zip_.records().contains(prefix + "constants.pkl")) return;
    const std::string& path = zip_.file().path();
    throw data::DataError(path +
                          ": expected a state dict, found a TorchScript archive; convert it in "
                          "Python with torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)");
  }

  [[nodiscard]] std::vector<std::byte> read_record(const std::string& name) const {
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

  StoredZip zip_;
  std::string prefix_;
  std::int64_t loaded_ = 0;
};

}  // namespace

PickledFile open_zip_weights(const std::string& path) {
  const auto file = std::make_shared<ZipWeights>(path);
  return {file->read_pickle(),
          PickledTensors([file](const std::string& key, at::ScalarType type, std::int64_t elements,
                                const data::PickleValue& value) {
            return file->load_storage(key, type, elements, value);
          })};
}

}  // namespace diffprob::model
