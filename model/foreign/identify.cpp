#include "model/foreign/identify.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "model/foreign/ir_names.h"
#include "model/networks/iresnet.h"
#include "model/networks/options.h"
#include "model/transformer/vision_transformer.h"

namespace diffprob::model {
namespace {

using Blocks = std::array<std::int64_t, 4>;

/// The entry whose name is `end`, or ends with it after a prefix of wrappers; null if there is
/// none.
const StateDict::value_type* find_end(const StateDict& entries, std::string_view end) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    const std::string_view name = entry.first;
    if (!name.ends_with(end)) return false;
    return name.size() == end.size() || name[name.size() - end.size() - 1] == '.';
  });
  return found == entries.end() ? nullptr : &*found;
}

bool is_known(const std::string& backbone) {
  const auto names = backbone_names();
  return std::find(names.begin(), names.end(), backbone) != names.end();
}

std::string iresnet_name(const Blocks& blocks, bool squeeze_excitation) {
  for (const std::string& name : backbone_names()) {
    const auto shape = iresnet_shape(name);
    if (name != "tiny" && shape.has_value() && shape->blocks == blocks &&
        shape->squeeze_excitation == squeeze_excitation)
      return name;
  }
  return "";
}

WeightsIdentity identify_ir(const StateDict& entries) {
  try {
    const auto network = from_ir_names(entries);
    if (!network.has_value()) return {};
    const std::string name = iresnet_name(network->blocks, network->squeeze_excitation);
    return {describe(*network), name, network->prefix + "input_layer.0.weight"};
  } catch (const c10::Error&) {
    return {};  // reading it says why
  }
}

/// Networks whose stages are layer1 to layer4: InsightFace's IResNet and ours, torchvision's.
WeightsIdentity identify_stages(const StateDict& entries) {
  const auto* const probe = find_end(entries, "layer1.0.conv1.weight");
  if (probe == nullptr) return {};
  const auto* const prelu = find_end(entries, "layer1.0.prelu.weight");
  if (prelu == nullptr) return {"a ResNet without PReLU, as torchvision has it", "", probe->first};
  constexpr std::int64_t kMostBlocks = 1000;
  Blocks blocks{};
  std::string last;
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    while (const auto* const block =
               find_end(entries, "layer" + std::to_string(stage + 1) + "." +
                                     std::to_string(blocks[stage]) + ".conv1.weight")) {
      if (stage == 2) last = block->first;
      if (++blocks[stage] == kMostBlocks) break;
    }
  }
  if (probe->second.dim() == 4 && probe->second.size(0) == 16)
    return {"the network tiny", "tiny", probe->first};
  const bool se = find_end(entries, "layer1.0.se_block.fc1.weight") != nullptr;
  const std::string name = iresnet_name(blocks, se);
  if (!name.empty()) return {"an " + name, name, last};
  return {"an IResNet with blocks " + c10::str(c10::Join(", ", blocks)), "", last};
}

/// Vision transformers by the size of their patches and the width and number of their blocks.
WeightsIdentity identify_transformer(const StateDict& entries) {
  const auto* const patch = find_end(entries, "patch_embed.proj.weight");
  if (patch == nullptr || patch->second.dim() != 4) return {};
  std::int64_t depth = 0;
  while (find_end(entries, "blocks." + std::to_string(depth) + ".attn.qkv.weight") != nullptr)
    ++depth;
  const std::int64_t width = patch->second.size(0);
  std::string name;
  for (const std::string& candidate : backbone_names()) {
    const auto shape = vision_transformer_shape(candidate);
    if (shape && shape->block.width == width && shape->depth == depth &&
        shape->patch == patch->second.size(2))
      name = candidate;
  }
  return {c10::str("a vision transformer with ", depth, " blocks of width ", width), name,
          patch->first};
}

WeightsIdentity identify_mobile(const StateDict& entries) {
  if (const auto* const probe = find_end(entries, "conv_6_sep.conv.weight"))
    return {"the MobileFaceNet of the paper's code", "mobilefacenet", probe->first};
  if (const auto* const probe = find_end(entries, "conv_sep.layers.0.weight")) {
    const bool large = probe->second.dim() == 4 && probe->second.size(1) > 256;
    const std::string name = large ? "mbf_large" : "mbf";
    return {"the " + name + " of arcface_torch", is_known(name) ? name : "", probe->first};
  }
  return {};
}

/// One matrix, with little beside it: the class centres of a head.
WeightsIdentity identify_head(const StateDict& entries) {
  constexpr std::size_t kMostTensors = 8;
  if (entries.size() > kMostTensors) return {};
  for (const std::string_view name : {"kernel", "weight", "fc.weight", ""}) {
    const auto* const found = find_end(entries, name);
    if (found == nullptr || found->second.dim() != 2) continue;
    return {c10::str("a head alone (class centres ", found->second.sizes(), ")"), "",
            found->first.empty() ? "a single tensor" : found->first};
  }
  return {};
}

}  // namespace

WeightsIdentity identify_weights(const StateDict& entries) {
  for (const auto identify :
       {identify_ir, identify_stages, identify_mobile, identify_transformer, identify_head}) {
    WeightsIdentity identity = identify(entries);
    if (!identity.what.empty()) return identity;
  }
  return {};
}

}  // namespace diffprob::model
