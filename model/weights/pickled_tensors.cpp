#include "model/weights/pickled_tensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <vector>

#include <ATen/ops/empty.h>

#include "model/weights/pth_storage.h"

namespace diffprob::model {
namespace {

constexpr const char* kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::array kRebuildParameters = {"torch._utils._rebuild_parameter",
                                           "torch._utils._rebuild_parameter_with_state"};

bool is_parameter(const data::PickleValue& value) {
  return std::any_of(kRebuildParameters.begin(), kRebuildParameters.end(),
                     [&](const char* name) { return value.is_call(name); });
}

/// A tensor that torch.save wrote in a form that is not read here.
bool is_other_tensor(const data::PickleValue& value) {
  return value.is(data::PickleKind::kOpaque) && (value.text.starts_with("torch._utils._rebuild_") ||
                                                 value.text.starts_with("torch._tensor._rebuild_"));
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

/// The tensor inside a parameter, or `value` itself.
const data::PickleValue& without_parameter(const std::string& name,
                                           const data::PickleValue& value) {
  if (!is_parameter(value)) return value;
  const auto& arguments = value.arguments->as_tuple();
  if (arguments.empty()) value.fail("entry " + name + ": a parameter without a tensor");
  return *arguments[0];
}

}  // namespace

const data::PickleGlobals& weight_globals() {
  static const data::PickleGlobals names = [] {
    data::PickleGlobals all = {"collections.OrderedDict", kRebuildTensor};
    all.insert(kRebuildParameters.begin(), kRebuildParameters.end());
    for (const StorageClass& storage : kStorageClasses)
      all.insert(std::string("torch.") + storage.name);
    return all;
  }();
  return names;
}

at::ScalarType storage_type(const data::PickleValue& value) {
  for (const StorageClass& storage : kStorageClasses) {
    if (value.is_global(std::string("torch.") + storage.name)) return storage.type;
  }
  value.fail("expected a storage class such as torch.FloatStorage, found " +
             (value.text.empty() ? name_of(value.kind) : value.text.substr(0, 100)));
}

bool PickledTensors::is_tensor(const data::PickleValue& value) {
  return value.is_call(kRebuildTensor) || is_parameter(value) || is_other_tensor(value);
}

at::Tensor PickledTensors::read(const std::string& name, const data::PickleValue& value) {
  const data::PickleValue& tensor = without_parameter(name, value);
  if (is_other_tensor(tensor))
    tensor.fail("entry " + name + ": a tensor of an unsupported kind (" + tensor.text + ")");
  if (!tensor.is_call(kRebuildTensor))
    value.fail("entry " + name + ": expected a tensor, found " + name_of(tensor.kind));
  const auto& arguments = tensor.arguments->as_tuple();
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

/// ('storage', torch.XStorage, key, device, elements); files of before PyTorch 1.6 add a view,
/// which no version since 0.2 writes.
at::Tensor PickledTensors::storage_of(const std::string& name, const data::PickleValue& value) {
  if (!value.is(data::PickleKind::kPersistentId))
    value.fail("entry " + name + ": expected a storage, found " + name_of(value.kind));
  const auto& id = value.arguments->as_tuple();
  const bool with_view = id.size() == 6;
  if (!with_view) static_cast<void>(value.arguments->as_tuple(5));
  if (with_view && !id[5]->is(data::PickleKind::kNone))
    id[5]->fail("entry " + name + ": a view of a storage as PyTorch 0.1 wrote it");
  if (id[0]->as_text() != "storage")
    id[0]->fail("entry " + name + ": expected 'storage', found '" + id[0]->text + "'");
  const at::ScalarType type = storage_type(*id[1]);
  const std::string& key = id[2]->as_text();
  const std::int64_t elements = id[4]->as_int();
  const auto found = storages_.find(key);
  const at::Tensor storage =
      found != storages_.end()
          ? found->second
          : storages_.emplace(key, load_(key, type, elements, value)).first->second;
  if (storage.scalar_type() != type)
    value.fail("entry " + name + ": storage " + key + " is used with two types");
  if (storage.numel() != elements)
    value.fail("entry " + name + ": storage " + key + " is used with two sizes");
  return storage;
}

void check_bools(const at::Tensor& storage, const std::string& key,
                 const data::PickleValue& value) {
  if (storage.scalar_type() != at::kBool) return;
  const auto* const data = static_cast<const std::byte*>(storage.const_data_ptr());
  if (std::any_of(data, data + storage.nbytes(), [](std::byte b) { return b > std::byte{1}; }))
    value.fail("storage " + key + ": a bool that is neither 0 nor 1");
}

}  // namespace diffprob::model
