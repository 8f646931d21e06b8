#include "model/foreign/load_weights.h"

#include <algorithm>

#include "model/foreign/identify.h"
#include "model/foreign/ir_names.h"

namespace diffprob::model {
namespace {

/// Reverses the input channels of the first convolution on images.
void reverse_channels(const StateDict& targets) {
  const auto first = std::find_if(targets.begin(), targets.end(), [](const auto& entry) {
    return entry.second.dim() == 4 && entry.second.size(1) == 3;
  });
  TORCH_CHECK(first != targets.end(), "no convolution on images whose channels could be reversed");
  first->second.copy_(first->second.flip(1));
}

/// "it seems to be an iresnet100 (its layer3.29.conv1.weight says so); set
/// model.backbone=iresnet100".
std::string advice(const StateDict& entries, const std::string& backbone) {
  const WeightsIdentity found = identify_weights(entries);
  if (found.what.empty()) return "";
  std::string text = ". The file seems to be " + found.what + ", by its entry " + found.evidence;
  if (found.backbone.empty())
    text += "; no network of this program is the same";
  else if (found.backbone != backbone)
    text += ": set model.backbone=" + found.backbone;
  if (found.what.starts_with("a head")) text = text.substr(0, text.find(';'));
  return text;
}

std::string embedding_advice(const StateDict& targets, const StateDict& entries) {
  const auto last_of = [](const StateDict& all) -> std::int64_t {
    const auto found = std::find_if(all.begin(), all.end(), [](const auto& entry) {
      return entry.first.ends_with("features.running_mean") ||
             entry.first.ends_with("output_layer.4.running_mean") ||
             entry.first.ends_with("output_layer.bn.running_mean");
    });
    return found == all.end() ? 0 : found->second.numel();
  };
  const std::int64_t expected = last_of(targets), found = last_of(entries);
  if (expected == 0 || found == 0 || expected == found) return "";
  return c10::str(": its embeddings have ", found, " values, set model.embedding_dim=", found);
}

}  // namespace

NetworkWeights load_network_weights(const StateDict& targets, const StateDict& entries,
                                    const std::string& backbone, ChannelOrder order) {
  at::NoGradGuard no_grad;
  NetworkWeights result;
  auto network = from_ir_names(entries);
  try {
    result.unused = load_state_dict(targets, network.has_value() ? network->entries : entries);
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, error.what_without_backtrace(), advice(entries, backbone),
                embedding_advice(targets, entries));
  }
  if (network.has_value()) {
    result.mapped_from = describe(*network);
    result.identity_norms = network->identity_norms;
    result.may_be_bgr = network->norm_after_first_convolution;
    result.unused = std::move(network->others);
  }
  if (order == ChannelOrder::kBgr) reverse_channels(targets);
  return result;
}

}  // namespace diffprob::model
