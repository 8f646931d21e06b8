#include "model/foreign/ir_names.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

namespace diffprob::model {
namespace {

constexpr std::array<std::int64_t, 4> kChannels = {64, 128, 256, 512};
constexpr double kEpsilon = 1e-5;  // of all batch norms, theirs and ours
constexpr std::string_view kFirst = "input_layer.0.weight";

bool is_first(std::string_view name) {
  if (!name.ends_with(kFirst)) return false;
  return name.size() == kFirst.size() || name[name.size() - kFirst.size() - 1] == '.';
}

using Names = std::vector<std::pair<std::string_view, std::string_view>>;

const Names& names_outside_blocks() {
  static const Names names = {{"input_layer.0", "conv1"}, {"input_layer.1", "bn1"},
                              {"input_layer.2", "prelu"}, {"output_layer.0", "bn2"},
                              {"output_layer.3", "fc"},   {"output_layer.4", "features"}};
  return names;
}

const Names& names_in_block(bool norm_after_first_convolution) {
  static const Names with_norm = {{"res_layer.0", "bn1"},
                                  {"res_layer.1", "conv1"},
                                  {"res_layer.2", "bn2"},
                                  {"res_layer.3", "prelu"},
                                  {"res_layer.4", "conv2"},
                                  {"res_layer.5", "bn3"},
                                  {"res_layer.se_block", "se_block"},
                                  {"shortcut_layer", "downsample"}};
  static const Names without_norm = {{"res_layer.0", "bn1"},          {"res_layer.1", "conv1"},
                                     {"res_layer.2", "prelu"},        {"res_layer.3", "conv2"},
                                     {"res_layer.4", "bn3"},          {"res_layer.5", "se_block"},
                                     {"shortcut_layer", "downsample"}};
  return norm_after_first_convolution ? with_norm : without_norm;
}

/// The name with its beginning replaced by ours; empty if the list does not have it.
std::string renamed(std::string_view name, const Names& names) {
  for (const auto& [theirs, ours] : names) {
    if (name.starts_with(theirs) && name.substr(theirs.size()).starts_with('.'))
      return std::string(ours) + std::string(name.substr(theirs.size()));
  }
  return "";
}

class IrReader {
 public:
  explicit IrReader(const StateDict& entries) {
    network_.prefix = find_prefix(entries);
    for (const auto& [name, tensor] : entries) {
      if (name.starts_with(network_.prefix)) {
        given_.emplace(name.substr(network_.prefix.size()), tensor);
      } else {
        network_.others.push_back(name);
      }
    }
  }

  IrNetwork read() {
    find_blocks();
    rename();
    add_identities();
    return std::move(network_);
  }

 private:
  static std::string find_prefix(const StateDict& entries) {
    for (const auto& [name, tensor] : entries) {
      if (is_first(name)) return name.substr(0, name.size() - kFirst.size());
    }
    return "";
  }

  [[nodiscard]] const at::Tensor* find(const std::string& name) const {
    const auto found = given_.find(name);
    return found == given_.end() ? nullptr : &found->second;
  }

  /// Blocks of a stage have its number of channels.
  void find_blocks() {
    const auto part = [](std::size_t block, const char* name) {
      return "body." + std::to_string(block) + ".res_layer." + name;
    };
    for (std::size_t block = 0;; ++block) {
      const at::Tensor* const first = find(part(block, "1.weight"));
      if (first == nullptr) break;
      TORCH_CHECK(first->dim() == 4, network_.prefix, part(block, "1.weight"),
                  ": expected a convolution, found the shape ", first->sizes());
      TORCH_CHECK(first->size(2) == 3,
                  "the file seems to be an IR-152 or IR-200 of AdaFace, CVLface or TFace, whose "
                  "blocks are bottlenecks (",
                  network_.prefix, part(block, "1.weight"),
                  " is a 1x1 convolution); no network of "
                  "this program has such blocks");
      const auto* const stage = std::find(kChannels.begin(), kChannels.end(), first->size(0));
      const auto number = static_cast<std::size_t>(stage - kChannels.begin());
      TORCH_CHECK(stage != kChannels.end() && (stages_.empty() || stages_.back() <= number),
                  network_.prefix, part(block, "1.weight"),
                  ": expected 64, 128, 256 or 512 channels, not fewer than in the block before, "
                  "found ",
                  first->size(0));
      stages_.push_back(number);
      indices_.push_back(network_.blocks[number]++);
    }
    const at::Tensor* const fourth = find(part(0, "3.weight"));
    network_.norm_after_first_convolution = fourth == nullptr || fourth->dim() != 4;
    network_.squeeze_excitation =
        find(part(0, "se_block.fc1.weight")) != nullptr || find(part(0, "5.fc1.weight")) != nullptr;
  }

  [[nodiscard]] std::string block_prefix(std::size_t block) const {
    return "layer" + std::to_string(stages_[block] + 1) + "." + std::to_string(indices_[block]) +
           ".";
  }

  void rename() {
    for (const auto& [name, tensor] : given_) {
      std::string ours = renamed(name, names_outside_blocks());
      const auto [block, rest] = split_block(name);
      if (block < stages_.size()) {
        ours = renamed(rest, names_in_block(network_.norm_after_first_convolution));
        if (!ours.empty()) ours = block_prefix(block) + ours;
      }
      network_.entries.emplace_back(ours.empty() ? name : ours, tensor);
    }
  }

  /// Number of the block and the rest of "body.N.rest"; a number beyond all blocks for other names.
  [[nodiscard]] std::pair<std::size_t, std::string> split_block(const std::string& name) const {
    constexpr std::string_view kBody = "body.";
    std::size_t block = stages_.size();
    if (!name.starts_with(kBody)) return {block, ""};
    const char* const end = name.data() + name.size();
    const auto [dot, error] = std::from_chars(name.data() + kBody.size(), end, block);
    if (error != std::errc() || dot == end || *dot != '.') return {stages_.size(), ""};
    return {block, std::string(dot + 1, end)};
  }

  void add_norm(const std::string& name, std::int64_t channels) {
    auto& entries = network_.entries;
    entries.emplace_back(name + ".weight", at::full({channels}, std::sqrt(1.0 + kEpsilon)));
    entries.emplace_back(name + ".bias", at::zeros({channels}));
    entries.emplace_back(name + ".running_mean", at::zeros({channels}));
    entries.emplace_back(name + ".running_var", at::ones({channels}));
    ++network_.identity_norms;
  }

  void add_identities() {
    auto& entries = network_.entries;
    if (!stages_.empty() && stages_[0] == 0 && find("body.0.shortcut_layer.0.weight") == nullptr) {
      const std::int64_t channels = kChannels[0];
      entries.emplace_back("layer1.0.downsample.0.weight",
                           at::eye(channels).view({channels, channels, 1, 1}));
      add_norm("layer1.0.downsample.1", channels);
    }
    for (std::size_t block = 0; !network_.norm_after_first_convolution && block < stages_.size();
         ++block)
      add_norm(block_prefix(block) + "bn2", kChannels[stages_[block]]);
    const at::Tensor* const mean = find("output_layer.4.running_mean");
    if (mean != nullptr && find("output_layer.4.weight") == nullptr) {
      entries.emplace_back("features.weight", at::ones({mean->numel()}));
      entries.emplace_back("features.bias", at::zeros({mean->numel()}));
    }
  }

  IrNetwork network_;
  std::map<std::string, at::Tensor> given_;  ///< without the prefix
  std::vector<std::size_t> stages_;          ///< per block
  std::vector<std::int64_t> indices_;        ///< per block: its place in its stage
};

}  // namespace

std::optional<IrNetwork> from_ir_names(const StateDict& entries) {
  const bool named = std::any_of(entries.begin(), entries.end(),
                                 [](const auto& entry) { return is_first(entry.first); });
  const bool body = named && std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
                      return entry.first.ends_with("body.0.res_layer.1.weight");
                    });
  if (!body) return std::nullopt;
  return IrReader(entries).read();
}

std::string describe(const IrNetwork& network) {
  using Blocks = std::array<std::int64_t, 4>;
  static const std::map<Blocks, std::string> names = {{{2, 2, 2, 2}, "18"},
                                                      {{3, 4, 6, 3}, "34"},
                                                      {{3, 4, 14, 3}, "50"},
                                                      {{3, 13, 30, 3}, "101"},
                                                      {{3, 8, 36, 3}, "152"}};
  const auto found = names.find(network.blocks);
  std::string name = network.squeeze_excitation ? "an IR-SE network" : "an IR network";
  if (found != names.end()) {
    name = (network.squeeze_excitation ? "an IR-SE-" : "an IR-") + found->second;
  } else {
    name += " with blocks " + c10::str(c10::Join(", ", network.blocks));
  }
  return name + " in the naming of " +
         (network.norm_after_first_convolution ? "AdaFace, CVLface and TFace" : "face.evoLVe");
}

}  // namespace diffprob::model
