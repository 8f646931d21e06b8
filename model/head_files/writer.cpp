#include "model/head_files/writer.h"

#include <algorithm>
#include <filesystem>

#include <ATen/ops/empty.h>

#include "data/error.h"
#include "model/weights/tree.h"

namespace diffprob::model {
namespace fs = std::filesystem;
namespace {

std::string five_digits(int number) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

/// The end of the name of a shard in our checkpoints.
std::string of_shards(int shards) {
  return "-of-" + five_digits(shards) + ".pth";
}

PthDictionary dictionary(const StateDict& entries) {
  PthDictionary result;
  for (const auto& [name, tensor] : entries) result.items.emplace_back(name, tensor);
  return result;
}

/// The names that arcface_torch gives the parts of its state, without those of its optimiser.
PthDictionary training_state(const at::Tensor& rows, const HeadCompanions& companions) {
  PthDictionary result;
  result.items.emplace_back("epoch", companions.epoch);
  result.items.emplace_back("global_step", companions.global_step);
  result.items.emplace_back("state_dict_backbone", dictionary(companions.backbone));
  result.items.emplace_back("state_dict_softmax_fc", dictionary({{"weight", rows}}));
  return result;
}

std::string shard_path(const std::string& path, HeadForm form, int rank, int shards) {
  if (is_one_file(form)) return path;
  const std::string folder = path + "/";
  const std::string number = std::to_string(rank);
  if (form == HeadForm::kArcfaceTorch) return folder + "checkpoint_gpu_" + number + ".pt";
  if (form == HeadForm::kRankWeights) return folder + "rank_" + number + "_softmax_weight.pt";
  return folder + "head." + five_digits(rank) + of_shards(shards);
}

void write_named(const std::string& path, const StateDict& entries) {
  if (path.ends_with(".safetensors"))
    write_safetensors(path, entries);
  else
    write_pth(path, entries);
}

void write_shard(const std::string& path, HeadForm form, const at::Tensor& values,
                 const HeadCompanions& companions) {
  if (form == HeadForm::kRankWeights) {
    write_pth_tree(path, values);
  } else if (form == HeadForm::kArcfaceTorch) {
    write_pth_tree(path, training_state(values, companions));
  } else if (form == HeadForm::kKernel) {
    StateDict entries = {{"kernel", values}};
    entries.insert(entries.end(), companions.header.begin(), companions.header.end());
    write_named(path, entries);
  } else {
    write_named(path, {{"weight", values}});
  }
}

void check_target(const std::string& path, const HeadFiles& head) {
  for (const std::string& input : head.paths()) {
    std::error_code none;
    TORCH_CHECK(!fs::equivalent(path, input, none), path,
                ": is an input itself, expected another name or folder");
  }
}

void make_folder(const std::string& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw data::DataError(folder + ": cannot be made: " + failed.message());
}

/// Files of the same form from an export into more shards would be taken for shards of this one.
void check_folder(const std::string& folder, HeadForm form, int shards) {
  if (form == HeadForm::kCheckpoint) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      TORCH_CHECK(!name.starts_with("head.") || !name.ends_with(".pth") ||
                      name.ends_with(of_shards(shards)),
                  entry.path().string(), ": is of another number of shards than ", shards,
                  "; give an empty folder");
    }
    return;
  }
  const std::string next = shard_path(folder, form, shards, shards + 1);
  TORCH_CHECK(!fs::exists(next), next, ": is there already, and the export has ", shards,
              " shards only; give an empty folder");
}

}  // namespace

const std::vector<std::pair<std::string, HeadForm>>& head_form_words() {
  static const std::vector<std::pair<std::string, HeadForm>> words = {
      {"paper", HeadForm::kKernel},
      {"weight", HeadForm::kWeight},
      {"checkpoint", HeadForm::kCheckpoint},
      {"arcface_torch", HeadForm::kArcfaceTorch},
      {"rank_weights", HeadForm::kRankWeights}};
  return words;
}

bool is_one_file(HeadForm form) {
  return form == HeadForm::kKernel || form == HeadForm::kWeight;
}

std::int64_t first_class_of_shard(HeadForm form, std::int64_t num_classes, int rank, int shards) {
  if (form == HeadForm::kCheckpoint) return num_classes * rank / shards;
  return num_classes / shards * rank + std::min<std::int64_t>(rank, num_classes % shards);
}

std::vector<std::string> write_head(const std::string& path, HeadForm form, int shards,
                                    const HeadFiles& head, const HeadCompanions& companions) {
  TORCH_CHECK(shards >= 1 && shards <= head.num_classes() && (shards == 1 || !is_one_file(form)),
              path, ": ", shards, " shards of ", head.num_classes(), " classes",
              is_one_file(form) ? ", and this form is a single file" : "");
  if (!is_one_file(form)) {
    make_folder(path);
    check_folder(path, form, shards);
  }
  std::vector<std::string> paths;
  for (int rank = 0; rank < shards; ++rank) {
    paths.push_back(shard_path(path, form, rank, shards));
    check_target(paths.back(), head);
  }
  for (int rank = 0; rank < shards; ++rank) {
    const std::int64_t first = first_class_of_shard(form, head.num_classes(), rank, shards);
    const std::int64_t rows =
        first_class_of_shard(form, head.num_classes(), rank + 1, shards) - first;
    const bool by_columns = form == HeadForm::kKernel;
    const at::Tensor values = at::empty(by_columns ? at::IntArrayRef{head.embedding_dim(), rows}
                                                   : at::IntArrayRef{rows, head.embedding_dim()},
                                        at::kFloat);
    head.read(first, by_columns ? values.t() : values);
    write_shard(paths[static_cast<std::size_t>(rank)], form, values, companions);
  }
  return paths;
}

}  // namespace diffprob::model
