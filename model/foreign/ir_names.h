#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/weights/weights.h"

namespace diffprob::model {

/// An IR network in the naming of face.evoLVe and its descendants (TFace, AdaFace, CVLface):
/// input_layer.*, body.N.res_layer.*, output_layer.*. It is an IResNet but for three things:
/// - the shortcut of the first block takes every second pixel as it is; an IResNet has a 1x1
///   convolution and a batch norm there, which are given weights that change nothing;
/// - the last batch norm may have no weight and bias: 1 and 0;
/// - in face.evoLVe no batch norm follows the first convolution of a block; such norms are given
///   weights that change nothing.
struct IrNetwork {
  std::array<std::int64_t, 4> blocks{};
  bool squeeze_excitation = false;
  bool norm_after_first_convolution = true;  ///< false: face.evoLVe
  std::string prefix;                        ///< what stands before "input_layer"
  StateDict entries;                         ///< with the names of an IResNet
  std::vector<std::string> others;           ///< names that stand outside the prefix
  std::int64_t identity_norms = 0;           ///< batch norms that were added and change nothing
};

/// Returns the network with the names of an IResNet, or nothing if no entry has such a name. Names
/// that an IR network does not have are kept. Throws c10::Error that says what differs for blocks
/// that no IResNet has (IR-152 and IR-200 of AdaFace, CVLface and TFace).
[[nodiscard]] std::optional<IrNetwork> from_ir_names(const StateDict& entries);

/// "an IR-50 in the naming of face.evoLVe".
[[nodiscard]] std::string describe(const IrNetwork& network);

}  // namespace diffprob::model
