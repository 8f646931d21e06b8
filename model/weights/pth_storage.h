#pragma once

#include <array>

#include <c10/core/ScalarType.h>

namespace diffprob::model {

/// Storage classes of weight files, as their pickles name them: "torch.FloatStorage".
struct StorageClass {
  const char* name;  ///< without "torch."
  c10::ScalarType type;
};

inline constexpr std::array kStorageClasses = {
    StorageClass{"FloatStorage", c10::ScalarType::Float},
    StorageClass{"DoubleStorage", c10::ScalarType::Double},
    StorageClass{"HalfStorage", c10::ScalarType::Half},
    StorageClass{"BFloat16Storage", c10::ScalarType::BFloat16},
    StorageClass{"LongStorage", c10::ScalarType::Long},
    StorageClass{"IntStorage", c10::ScalarType::Int},
    StorageClass{"ShortStorage", c10::ScalarType::Short},
    StorageClass{"CharStorage", c10::ScalarType::Char},
    StorageClass{"ByteStorage", c10::ScalarType::Byte},
    StorageClass{"BoolStorage", c10::ScalarType::Bool},
};

}  // namespace diffprob::model
