// Writes .pth files. data.pkl is written by hand, because torch.load with weights_only refuses what
// torch::pickle_save puts there.
#include <limits>

#include "data/files/atomic_file.h"
#include "data/files/sha256.h"
#include "model/weights/pth_archive.h"
#include "model/weights/pth_storage.h"
#include "model/weights/tree.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

const char* storage_class_of(const std::string& name, at::ScalarType type) {
  for (const StorageClass& storage : kStorageClasses) {
    if (storage.type == type) return storage.name;
  }
  TORCH_CHECK(false, "weight file: entry ", name, " has the unsupported type ", type);
}

/// Pickle of protocol 2, without memo.
class PickleText {
 public:
  PickleText() { text_ = "\x80\x02"; }
  PickleText& op(char opcode) {
    text_ += opcode;
    return *this;
  }
  PickleText& global(const std::string& module, const std::string& name) {
    text_ += "c" + module + "\n" + name + "\n";
    return *this;
  }
  PickleText& string(const std::string& value) {
    return op('X').little_endian(value.size(), 4).raw(value);
  }
  PickleText& integer(std::int64_t value) {
    if (value >= 0 && value < 256)
      return op('K').little_endian(static_cast<std::uint64_t>(value), 1);
    if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max())
      return op('J').little_endian(static_cast<std::uint64_t>(value), 4);
    return op('\x8a').op('\x08').little_endian(static_cast<std::uint64_t>(value), 8);
  }
  PickleText& integers(at::IntArrayRef values) {
    op('(');
    for (const std::int64_t value : values) integer(value);
    return op('t');
  }
  PickleText& empty_ordered_dict() { return global("collections", "OrderedDict").op(')').op('R'); }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  PickleText& raw(const std::string& bytes) {
    text_ += bytes;
    return *this;
  }
  PickleText& little_endian(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) text_ += static_cast<char>((value >> (8 * i)) & 0xff);
    return *this;
  }
  std::string text_;
};

/// _rebuild_tensor_v2(('storage', torch.XStorage, key, 'cpu', numel), 0, sizes, strides, False,
/// OrderedDict())
void append_tensor(PickleText& pickle, const WeightEntry& entry, std::size_t key) {
  pickle.global("torch._utils", "_rebuild_tensor_v2").op('(');
  pickle.op('(').string("storage").global("torch", storage_class_of(entry.name, entry.type));
  pickle.string(std::to_string(key))
      .string("cpu")
      .integer(c10::multiply_integers(entry.sizes))
      .op('t')
      .op('Q');
  // Strides of the contiguous values that are written.
  pickle.integer(0)
      .integers(entry.sizes)
      .integers(at::empty(entry.sizes, at::device(at::kMeta).dtype(entry.type)).strides());
  pickle.op('\x89').empty_ordered_dict().op('t').op('R');
}

std::string pickle_of(const std::vector<WeightEntry>& entries) {
  PickleText pickle;
  pickle.empty_ordered_dict().op('(');
  for (std::size_t k = 0; k < entries.size(); ++k) {
    pickle.string(entries[k].name);
    append_tensor(pickle, entries[k], k);
  }
  return pickle.op('u').op('.').text();
}

/// Appends a value of a tree; its tensors go to the end of `entries`.
void append_value(PickleText& pickle, const PthValue& value, std::vector<WeightEntry>& entries) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    pickle.integer(*number);
  } else if (const auto* tensor = std::get_if<at::Tensor>(&value)) {
    entries.push_back({"", tensor->sizes().vec(), tensor->scalar_type(), {*tensor}});
    append_tensor(pickle, entries.back(), entries.size() - 1);
  } else {
    const auto& items = std::get<PthDictionary>(value).items;
    pickle.empty_ordered_dict().op('(');
    for (const auto& [name, item] : items) {
      pickle.string(name);
      append_value(pickle, item, entries);
    }
    pickle.op('u');
  }
}

void check_parts(const WeightEntry& entry) {
  std::int64_t values = 0;
  for (const at::Tensor& part : entry.parts) {
    TORCH_CHECK(part.scalar_type() == entry.type, "weight file: entry ", entry.name, " is of type ",
                entry.type, ", but a part of it is of type ", part.scalar_type());
    values += part.numel();
  }
  TORCH_CHECK(values == c10::multiply_integers(entry.sizes), "weight file: entry ", entry.name,
              " has shape ", at::IntArrayRef(entry.sizes), ", but its parts have ", values,
              " values");
}

void write_values(const std::string& name, const WeightEntry& entry, PthArchive& archive) {
  const auto values = static_cast<std::uint64_t>(c10::multiply_integers(entry.sizes));
  archive.begin(name, values * c10::elementSize(entry.type));
  for (const at::Tensor& part : entry.parts) {
    const at::Tensor tensor = part.detach().cpu().contiguous();
    archive.append({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  archive.end();
}

WrittenFile write_archive(const std::string& path, const std::string& pickle,
                          const std::vector<WeightEntry>& entries) {
  data::AtomicFile file(path);
  data::Sha256 digest;
  PthArchive archive([&](std::span<const std::byte> bytes) {
    digest.update(bytes);
    file.write(bytes);
  });
  archive.write("data.pkl", pickle);
  archive.write("byteorder", "little");
  for (std::size_t k = 0; k < entries.size(); ++k)
    write_values("data/" + std::to_string(k), entries[k], archive);
  archive.finish();
  file.commit();
  return {file.size(), digest.hex()};
}

}  // namespace

WrittenFile write_pth(const std::string& path, const std::vector<WeightEntry>& entries) {
  for (const WeightEntry& entry : entries) check_parts(entry);
  return write_archive(path, pickle_of(entries), entries);
}

WrittenFile write_pth_tree(const std::string& path, const PthValue& root) {
  std::vector<WeightEntry> entries;
  PickleText pickle;
  append_value(pickle, root, entries);
  return write_archive(path, pickle.op('.').text(), entries);
}

WrittenFile write_pth(const std::string& path, const StateDict& entries) {
  std::vector<WeightEntry> whole;
  for (const auto& [name, tensor] : entries)
    whole.push_back({name, tensor.sizes().vec(), tensor.scalar_type(), {tensor}});
  return write_pth(path, whole);
}

}  // namespace diffprob::model
