#include "model/head_files/head_entry.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/weights/shapes.h"

namespace diffprob::model {
namespace {

constexpr std::array<std::string_view, 8> kWrappers = {
    "state_dict.", "model_state_dict.", "module.",         "_orig_mod.", "model.",
    "net.",        "head_state_dict.",  "state_dict_head."};
/// Names that trainers give a head, before ".weight" or ".kernel".
constexpr std::array<std::string_view, 14> kHeads = {"head",
                                                     "header",
                                                     "classifier",
                                                     "partial_fc",
                                                     "softmax_fc",
                                                     "state_dict_softmax_fc",
                                                     "module_partial_fc",
                                                     "metric_fc",
                                                     "margin",
                                                     "loss",
                                                     "criterion",
                                                     "margin_head",
                                                     "loss_head",
                                                     "classifier.partial_fc"};

std::string_view without_wrappers(std::string_view name) {
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string_view wrapper : kWrappers) {
      if (!name.starts_with(wrapper)) continue;
      name.remove_prefix(wrapper.size());
      stripped = true;
    }
  }
  return name;
}

bool is_head_name(std::string_view full) {
  const std::string_view name = without_wrappers(full);
  if (name.empty() || name == "weight" || name == "kernel") return true;
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string_view owner = name.substr(0, dot);
  const std::string_view last = name.substr(dot + 1);
  if (last != "weight" && last != "kernel") return false;
  constexpr std::string_view kWrapped = ".module";  // DistributedDataParallel inside a module
  if (owner.ends_with(kWrapped)) owner.remove_suffix(kWrapped.size());
  return std::find(kHeads.begin(), kHeads.end(), owner) != kHeads.end();
}

std::string shape_text(const at::Tensor& tensor) {
  std::string text = "[";
  for (const std::int64_t size : tensor.sizes())
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::string shown_name(const std::string& name) {
  return name.empty() ? "the tensor" : name;
}

/// What the file seems to be, by one or two deciding names.
std::string seems_to_be(const StateDict& shapes) {
  if (shapes.empty()) return "a file without tensors";
  const auto count = " (" + std::to_string(shapes.size()) + " tensors, the first is " +
                     shown_name(shapes.front().first) + " " + shape_text(shapes.front().second) +
                     ")";
  const auto named = [&](std::string_view part) {
    return std::any_of(shapes.begin(), shapes.end(), [&](const auto& item) {
      return item.first.find(part) != std::string::npos;
    });
  };
  if (named("momentum_buffer") || named("exp_avg"))
    return "a training state without a head" + count;
  if (named("conv1.weight") || named("input_layer.") || named("patch_embed"))
    return "the weights of a network without a head" + count;
  return "something else" + count;
}

void check_size(const std::string& path, const HeadEntry& entry) {
  constexpr std::int64_t kMostValues = std::int64_t{1} << 45;
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  const auto width = static_cast<std::int64_t>(c10::elementSize(entry.type));
  TORCH_CHECK(entry.classes > 0 && entry.embedding_dim > 0 &&
                  entry.classes <= kMostValues / entry.embedding_dim &&
                  entry.classes * entry.embedding_dim <= bytes / width,
              path, ": ", shown_name(entry.name), " has ", entry.classes, " classes of ",
              entry.embedding_dim, " values, which a file of ", bytes, " bytes cannot hold");
}

HeadEntry described(const std::string& path, const std::string& name, const at::Tensor& shape,
                    std::int64_t dim) {
  TORCH_CHECK(at::isFloatingType(shape.scalar_type()), path, ": ", shown_name(name), " is of type ",
              shape.scalar_type(), ", expected float32, float16 or bfloat16");
  HeadEntry entry{name, name.ends_with("kernel"), 0, 0, shape.scalar_type()};
  const auto fits = [&](bool by_columns) {
    return dim == 0 || shape.size(by_columns ? 0 : 1) == dim;
  };
  if (!fits(entry.by_columns)) {
    TORCH_CHECK(fits(!entry.by_columns), path, ": ", shown_name(name), " is ", shape_text(shape),
                ", of which no side is the embedding size ", dim,
                " (model.embedding_dim, or that of the checkpoint)");
    entry.by_columns = !entry.by_columns;
  }
  entry.classes = shape.size(entry.by_columns ? 1 : 0);
  entry.embedding_dim = shape.size(entry.by_columns ? 0 : 1);
  check_size(path, entry);
  return entry;
}

}  // namespace

HeadEntry find_head_entry(const std::string& path, std::int64_t embedding_dim) {
  TORCH_CHECK(path.find("_weight_mom") == std::string::npos, path,
              ": holds momenta of class centres, not the centres (rank_R_softmax_weight.pt)");
  const StateDict shapes = read_weight_shapes(path);
  std::vector<const StateDict::value_type*> found;
  for (const auto& item : shapes)
    if (item.second.dim() == 2 && is_head_name(item.first)) found.push_back(&item);
  TORCH_CHECK(!found.empty(), path, ": found ", seems_to_be(shapes),
              ", expected class centres: weight [C, D], kernel [D, C], "
              "state_dict_softmax_fc.weight, head.kernel or a single tensor [C, D]");
  TORCH_CHECK(found.size() == 1, path, ": two entries may be the class centres, ",
              shown_name(found[0]->first), " and ", shown_name(found[1]->first),
              "; save the right one in a file of its own");
  return described(path, found[0]->first, found[0]->second, embedding_dim);
}

}  // namespace diffprob::model
