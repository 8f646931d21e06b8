#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include <ATen/core/Tensor.h>

#include "data/pickle/reader.h"

namespace diffprob::model {

/// Names that the pickles of weight files may use. All else becomes an opaque value.
[[nodiscard]] const data::PickleGlobals& weight_globals();

/// Returns the type of a storage class such as torch.FloatStorage. Throws data::DataError on
/// anything else.
[[nodiscard]] at::ScalarType storage_type(const data::PickleValue& value);

/// Makes the tensors that the pickle of torch.save describes. Sizes, strides and offsets are
/// checked against the storage. Throws data::DataError that names the entry.
class PickledTensors {
 public:
  /// Returns the storage `key` as a vector of `elements` values; `value` is for messages.
  using LoadStorage =
      std::function<at::Tensor(const std::string& key, at::ScalarType type, std::int64_t elements,
                               const data::PickleValue& value)>;
  explicit PickledTensors(LoadStorage load) : load_(std::move(load)) {}

  /// Returns true for a tensor or parameter, also for one of a kind that cannot be read (sparse,
  /// quantised).
  [[nodiscard]] static bool is_tensor(const data::PickleValue& value);
  /// Each storage is loaded once: views of one storage stay views of one storage.
  [[nodiscard]] at::Tensor read(const std::string& name, const data::PickleValue& value);

 private:
  at::Tensor storage_of(const std::string& name, const data::PickleValue& value);

  LoadStorage load_;
  std::map<std::string, at::Tensor> storages_;
};

/// Throws when `storage` is of bools and holds a byte that is neither 0 nor 1.
void check_bools(const at::Tensor& storage, const std::string& key, const data::PickleValue& value);

}  // namespace diffprob::model
