#pragma once

#include <cstdint>
#include <string>

#include <c10/core/ScalarType.h>

namespace diffprob::model {

/// The class centres in a weight file, or this file's share of them.
struct HeadEntry {
  std::string name;  ///< as read_weight_entries() names it; "" when the file is a single tensor
  bool by_columns = false;  ///< [D, C] as the paper has it, instead of [C, D]
  std::int64_t classes = 0;
  std::int64_t embedding_dim = 0;
  at::ScalarType type = at::kFloat;
};

/// Finds them by their name: a single tensor, "weight" [C, D] or "kernel" [D, C], alone or below
/// the names that trainers give a head ("state_dict_softmax_fc.weight", "head.kernel"). No values
/// are loaded. With `embedding_dim` above 0 one side of the entry must have that size; where the
/// other side than the name says has it, the entry is taken the other way round. Throws
/// data::DataError or c10::Error that names the file, what it seems to be, and what was expected.
[[nodiscard]] HeadEntry find_head_entry(const std::string& path, std::int64_t embedding_dim);

}  // namespace diffprob::model
