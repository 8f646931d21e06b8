#include "launch/cli/export_head.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/network.h"
#include "model/head_files/writer.h"
#include "model/margin/options.h"
#include "model/weights/find_entry.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr int kMostShards = 1 << 16;

model::HeadForm form_of(const HeadExport& request, std::vector<std::string>& problems) {
  std::string names;
  for (const auto& [name, form] : model::head_form_words()) {
    if (name == request.form) return form;
    names += (names.empty() ? "" : ", ") + name;
  }
  problems.push_back("--head-form: expected one of " + names + ", got \"" + request.form + '"');
  return model::HeadForm::kWeight;
}

int shards_of(const HeadExport& request, std::vector<std::string>& problems) {
  if (request.shards.empty()) return 1;
  int shards = 0;
  const char* const end = request.shards.data() + request.shards.size();
  const auto [stop, error] = std::from_chars(request.shards.data(), end, shards);
  if (error == std::errc() && stop == end && shards >= 1 && shards <= kMostShards) return shards;
  problems.push_back(fmt::format("--shards: expected a whole number in [1, {}], got \"{}\"",
                                 kMostShards, request.shards));
  return 1;
}

bool is_folder(const std::string& path) {
  std::error_code none;
  return fs::is_directory(path, none);
}

/// Files or folders that hold the class centres.
std::vector<std::string> sources_of(const Config& config, std::vector<std::string>& problems) {
  if (!config.model.head_files.empty()) return config.model.head_files;
  if (config.model.checkpoint.empty())
    problems.emplace_back(
        "model.checkpoint: --head needs a checkpoint folder, or files of class centres "
        "(--model.head=FILES)");
  else if (!is_folder(config.model.checkpoint))
    problems.push_back("model.checkpoint: " + config.model.checkpoint +
                       " is a file; name the files of class centres with --model.head=FILES");
  return {config.model.checkpoint};
}

/// State that the paper's classes of these losses keep beside the kernel.
model::StateDict loss_state(const std::string& checkpoint) {
  const CheckpointInfo info = read_checkpoint_info(checkpoint);
  const model::MarginKind kind = model::margin_kind(info.loss);
  if (!checkpoint_has(checkpoint, "loss")) return {};
  const std::string file = checkpoint + "/loss.pth";
  const model::StateDict state = model::read_pth(file);
  const auto value = [&](const std::string& name) {
    return model::need_entry(state, name, file).to(at::kFloat).reshape({1});
  };
  if (kind == model::MarginKind::kCurricularFace) return {{"t", value("t")}};
  if (kind != model::MarginKind::kAdaFace) return {};
  return {
      {"t", at::zeros({1})}, {"batch_mean", value("norm_mean")}, {"batch_std", value("norm_std")}};
}

model::HeadCompanions companions_of(model::HeadForm form, const Config& config) {
  const std::string& checkpoint = config.model.checkpoint;
  model::HeadCompanions companions;
  const bool own = is_folder(checkpoint);
  if (form == model::HeadForm::kKernel && own && config.model.head_files.empty())
    companions.header = loss_state(checkpoint);
  if (form != model::HeadForm::kArcfaceTorch) return companions;
  if (own) {
    const CheckpointInfo info = read_checkpoint_info(checkpoint);
    companions.epoch = info.epoch;
    companions.global_step = info.step;
  }
  companions.backbone = model::state_dict(
      *load_network(checkpoint, shape_of_weight_file(config.model), at::kCPU).backbone);
  return companions;
}

/// Shards that are missing at the end do not show in the names of the others.
void check_complete(const model::HeadFiles& head, const Config& config) {
  if (!config.model.head_files.empty()) return;
  const std::int64_t classes = read_checkpoint_info(config.model.checkpoint).num_classes;
  TORCH_CHECK(head.num_classes() == classes, config.model.checkpoint, ": its head shards hold ",
              head.num_classes(), " classes, but the manifest says ", classes);
}

}  // namespace

void export_head(const HeadExport& request, const Config& config) {
  std::vector<std::string> problems;
  const model::HeadForm form = form_of(request, problems);
  const int shards = shards_of(request, problems);
  const std::vector<std::string> sources = sources_of(config, problems);
  if (shards > 1 && model::is_one_file(form))
    problems.push_back("--shards: the form " + request.form + " is a single file");
  if (form == model::HeadForm::kArcfaceTorch && config.model.checkpoint.empty())
    problems.emplace_back(
        "model.checkpoint: the files of arcface_torch hold the network, too: give a checkpoint "
        "folder or a backbone .pth");
  if (!problems.empty()) throw ConfigError(problems);
  const model::HeadFiles head(sources);
  check_complete(head, config);
  const auto paths =
      model::write_head(request.path, form, shards, head, companions_of(form, config));
  fmt::print("wrote {} class centres of {} values from {} to {}{}\n", head.num_classes(),
             head.embedding_dim(), head.text(), paths.front(),
             paths.size() == 1 ? "" : fmt::format(" and {} more", paths.size() - 1));
}

}  // namespace diffprob::launch
