#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <c10/core/ScalarType.h>

namespace diffprob::model {

/// A type of safetensors that this program knows.
struct SafetensorsType {
  const char* name;
  c10::ScalarType type;
};

inline constexpr std::array kSafetensorsTypes = {
    SafetensorsType{"F64", c10::ScalarType::Double},
    SafetensorsType{"F32", c10::ScalarType::Float},
    SafetensorsType{"F16", c10::ScalarType::Half},
    SafetensorsType{"BF16", c10::ScalarType::BFloat16},
    SafetensorsType{"I64", c10::ScalarType::Long},
    SafetensorsType{"I32", c10::ScalarType::Int},
    SafetensorsType{"I16", c10::ScalarType::Short},
    SafetensorsType{"I8", c10::ScalarType::Char},
    SafetensorsType{"U8", c10::ScalarType::Byte},
    SafetensorsType{"BOOL", c10::ScalarType::Bool},
};

/// What the header says about a tensor, unchecked but for signs.
struct SafetensorsEntry {
  std::string name;
  std::string type;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;  ///< begin and end, from the end of the header on
  bool has_shape = false;
};

/// Parses the JSON of the header; metadata is skipped. Throws data::DataError that begins with
/// `path`.
[[nodiscard]] std::vector<SafetensorsEntry> parse_safetensors_header(const std::string& json,
                                                                     const std::string& path);

}  // namespace diffprob::model
