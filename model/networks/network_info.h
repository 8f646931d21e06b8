#pragma once

#include <cstdint>

#include "model/networks/backbone.h"

namespace diffprob::model {

struct NetworkInfo {
  std::int64_t parameters = 0;
  std::int64_t trainable_parameters = 0;
  std::int64_t macs =
      0;  ///< multiply-adds of convolutions, linear layers and attention products, one image
  /// Operations for one image as the reference counts them: 2 a multiply-add, 1 a bias, 2 an
  /// element of batch norm, 1 an element of PReLU and ReLU; pooling, sigmoid and sums are not
  /// counted.
  std::int64_t reference_flops = 0;
};

/// Makes the network and sends one image through it on the CPU. Throws c10::Error as make_backbone
/// does.
[[nodiscard]] NetworkInfo network_info(const BackboneOptions& options);

}  // namespace diffprob::model
