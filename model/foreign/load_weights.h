#pragma once

#include <string>
#include <vector>

#include "model/foreign/channel_order.h"
#include "model/weights/weights.h"

namespace diffprob::model {

/// What load_network_weights() did.
struct NetworkWeights {
  /// "an IR-50 in the naming of face.evoLVe"; empty when the names were those of the network.
  std::string mapped_from;
  bool may_be_bgr = false;  ///< an IR network as AdaFace publishes them, which take BGR images
  /// Batch norms that change nothing and are not in the file. A training gives them the statistics
  /// of its batches, so it does not start from exactly the same function.
  std::int64_t identity_norms = 0;
  std::vector<std::string> unused;  ///< names outside the prefix of the network
};

/// Copies the weights of a file into a network, `targets` being its state_dict(). Prefixes of
/// wrappers are taken off, and IR networks (ir_names.h) are renamed. With kBgr the input channels
/// of the first convolution are reversed: the network then takes RGB images. Throws c10::Error that
/// says what the file seems to be, which names decide it, and which model.backbone fits; the
/// network is then unchanged. `backbone` is the name of the network, for the message.
NetworkWeights load_network_weights(const StateDict& targets, const StateDict& entries,
                                    const std::string& backbone, ChannelOrder order);

}  // namespace diffprob::model
