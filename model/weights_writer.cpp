// Writes .pth files: the zip through LibTorch's writer, data.pkl by hand, because torch.load with weights_only refuses what
// torch::pickle_save puts there.
#include <exception>
#include <limits>

#include <caffe2/serialize/inline_container.h>

#include "data/atomic_file.h"
#include "data/sha256.h"
#include "model/pth_storage.h"
#include "model/weights.h"

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
  PickleText& string(const std::string& value) { return op('X').little_endian(value.size(), 4).raw(value); }
  PickleText& integer(std::int64_t value) {
    if (value >= 0 && value < 256) return op('K').little_endian(static_cast<std::uint64_t>(value), 1);
    if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max()) return op('J').little_endian(static_cast<std::uint64_t>(value), 4);
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

/// name: _rebuild_tensor_v2(('storage', torch.XStorage, key, 'cpu', numel), 0, sizes, strides, False, OrderedDict())
void append_tensor(PickleText& pickle, const std::string& name, const at::Tensor& tensor, std::size_t key) {
  pickle.string(name).global("torch._utils", "_rebuild_tensor_v2").op('(');
  pickle.op('(').string("storage").global("torch", storage_class_of(name, tensor.scalar_type()));
  pickle.string(std::to_string(key)).string("cpu").integer(tensor.numel()).op('t').op('Q');
  // Strides of the contiguous copy that is written.
  pickle.integer(0).integers(tensor.sizes()).integers(at::empty(tensor.sizes(), tensor.options().device(at::kMeta)).strides());
  pickle.op('\x89').empty_ordered_dict().op('t').op('R');
}

std::string pickle_of(const StateDict& entries) {
  PickleText pickle;
  pickle.empty_ordered_dict().op('(');
  for (std::size_t k = 0; k < entries.size(); ++k) append_tensor(pickle, entries[k].first, entries[k].second, k);
  return pickle.op('u').op('.').text();
}

/// Pieces that stay in the cache between digest and copy, and in the file's buffer.
void write_pieces(std::span<const std::byte> bytes, data::AtomicFile& file, data::Sha256& digest) {
  constexpr std::size_t kPiece = std::size_t{1} << 18;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(kPiece, bytes.size()))) {
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    digest.update(piece);
    file.write(piece);
  }
}

}  // namespace

WrittenFile write_pth(const std::string& path, const StateDict& entries) {
  const std::string pickle = pickle_of(entries);
  data::AtomicFile file(path);
  data::Sha256 digest;
  std::exception_ptr failure;
  // An exception must not cross the zip writer, whose destructor would write on: it is kept, and thrown when the writer is done.
  caffe2::serialize::PyTorchStreamWriter zip([&](const void* bytes, std::size_t size) {
    try {
      if (!failure) write_pieces({static_cast<const std::byte*>(bytes), size}, file, digest);
    } catch (...) {
      failure = std::current_exception();
    }
    return size;
  });
  zip.writeRecord("data.pkl", pickle.data(), pickle.size());
  zip.writeRecord("byteorder", "little", 6);
  for (std::size_t k = 0; k < entries.size(); ++k) {
    const at::Tensor tensor = entries[k].second.detach().cpu().contiguous();
    zip.writeRecord("data/" + std::to_string(k), tensor.data_ptr(), tensor.nbytes());
  }
  zip.writeEndOfFile();
  if (failure) std::rethrow_exception(failure);
  file.commit();
  return {file.size(), digest.hex()};
}

}  // namespace diffprob::model
