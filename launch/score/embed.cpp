#include "launch/score/embed.h"

#include <spdlog/spdlog.h>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>

#include "data/loading/loader.h"
#include "data/loading/sampler.h"
#include "launch/inputs/kept_list.h"
#include "launch/inputs/open_data.h"
#include "launch/inputs/training_data.h"
#include "launch/job/output_folder.h"
#include "launch/observe/progress.h"
#include "launch/score/given_model.h"
#include "launch/score/part_cutter.h"
#include "launch/score/sample_parts.h"
#include "launch/score/scoring_pass.h"
#include "model/inference/face_embedder.h"
#include "prune/error.h"
#include "prune/files/npy_file.h"
#include "prune/tables/embedding_file.h"
#include "prune/tables/source_attributes.h"

namespace diffprob::launch {
namespace {

using prune::HalfBits;

constexpr int kEmbeddingsFormat = 1;
constexpr std::int64_t kIndexBytes = sizeof(std::uint32_t);
constexpr std::int64_t kMostPartBytes = std::int64_t{256} << 20;  // of all ranks: rank 0 reads it

std::int64_t bytes_of_value(const Config& config) {
  return config.embed.type == at::kHalf ? 2 : 4;
}

prune::EmbeddingSourceInfo describe(const data::Dataset& dataset, const std::string& fingerprint,
                                    std::int64_t dim, const Config& config) {
  prune::EmbeddingSourceInfo info;
  info.dataset_fingerprint = dataset.fingerprint();
  info.model_fingerprint = fingerprint;
  info.config = dump_sections(
      config, {"score.fold", "score.precision", "data.train", "data.on_corrupt", "embed.mirror"});
  info.num_samples = dataset.size();
  info.dim = dim;
  info.mirrored = config.embed.mirror;
  info.part_of = part_of(dataset);
  return info;
}

PartsPlan parts_plan(const prune::EmbeddingSourceInfo& info, const Config& config,
                     at::Device device) {
  return {info.num_samples,
          kIndexBytes + info.columns() * bytes_of_value(config),
          {{"format", "diffprob-embedding-part"},
           {"format_version", kEmbeddingsFormat},
           {"dataset_fingerprint", info.dataset_fingerprint},
           {"model_fingerprint", info.model_fingerprint},
           {"columns", info.columns()},
           {"settings", dump_sections(config, {"score.fold", "score.precision", "data.on_corrupt",
                                               "data.image_size", "embed.type", "embed.mirror"}) +
                            "device: " + (device.is_cpu() ? "cpu" : "cuda") + "\n"}}};
}

/// Rows of one file of a part -> where they belong in the rows of the whole part.
void place_records(std::span<const std::byte> records, prune::SampleRange part,
                   std::size_t row_bytes, const std::string& file, std::vector<std::byte>& rows,
                   std::vector<bool>& there) {
  const std::size_t record_bytes = row_bytes + kIndexBytes;
  for (std::size_t at = 0; at < records.size(); at += record_bytes) {
    std::uint32_t index = 0;
    std::memcpy(&index, records.data() + at, sizeof(index));
    const std::int64_t row = static_cast<std::int64_t>(index) - part.first;
    if (row < 0 || row >= part.size() || there[static_cast<std::size_t>(row)])
      throw prune::PruneError(file + ": sample " + std::to_string(index) +
                              " is not of this part, or is there twice");
    there[static_cast<std::size_t>(row)] = true;
    std::memcpy(rows.data() + static_cast<std::size_t>(row) * row_bytes,
                records.data() + at + kIndexBytes, row_bytes);
  }
}

/// Hands over the rows of all samples in order, one part at a time, on rank 0.
void read_rows(SampleParts& parts, std::size_t row_bytes, std::int64_t samples,
               const std::function<void(std::span<const std::byte>)>& take) {
  std::vector<std::byte> rows;
  std::vector<bool> there;
  prune::SampleRange open{0, 0};
  const auto close = [&] {
    const auto missing = std::find(there.begin(), there.end(), false);
    if (missing != there.end())
      throw prune::PruneError("embeddings: sample " +
                              std::to_string(open.first + (missing - there.begin())) +
                              " is missing");
    if (!rows.empty()) take(rows);
  };
  parts.read_all(
      [&](prune::SampleRange part, std::span<const std::byte> records, const std::string& file) {
        if (part.first != open.first || part.last != open.last) {
          close();
          if (part.first != open.last)
            throw prune::PruneError(file + ": begins at sample " + std::to_string(part.first) +
                                    ", expected " + std::to_string(open.last));
          open = part;
          rows.assign(static_cast<std::size_t>(part.size()) * row_bytes, std::byte{0});
          there.assign(static_cast<std::size_t>(part.size()), false);
        }
        place_records(records, part, row_bytes, file, rows, there);
      });
  close();
  if (open.last != samples)
    throw prune::PruneError("embeddings: " + std::to_string(open.last) + " samples, expected " +
                            std::to_string(samples));
}

template <class T>
std::span<const T> numbers(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <class T>
void write_file(const std::string& path, const prune::EmbeddingSourceInfo& info,
                const Config& config, bool is_root, SampleParts& parts) {
  if (!is_root) return parts.read_all({});
  const auto row_bytes = static_cast<std::size_t>(info.columns()) * sizeof(T);
  if (config.embed.npy) {
    prune::NpyWriter<T> file(path, {info.num_samples, info.columns()});
    read_rows(parts, row_bytes, info.num_samples,
              [&](auto rows) { file.append(numbers<T>(rows)); });
    file.commit();
    return;
  }
  prune::EmbeddingWriter file(path, info, config.embed.type == at::kHalf);
  read_rows(parts, row_bytes, info.num_samples, [&](auto rows) { file.append(numbers<T>(rows)); });
  file.commit();
}

/// Embeds what is missing, part by part.
class EmbedParts {
 public:
  EmbedParts(const Config& config, Runtime& runtime, SampleParts& parts, std::int64_t record_bytes)
      : config_(config),
        runtime_(runtime),
        parts_(parts),
        batches_(cut_into_batches(parts.missing(), scoring_batch(config, runtime))),
        cutter_(
            "embed", batches_,
            {config.score.part_samples, std::max<std::int64_t>(1, kMostPartBytes / record_bytes)},
            config.train.max_time, runtime) {}

  void run(const std::shared_ptr<const data::Dataset>& dataset, model::Backbone& backbone) {
    std::int64_t done = parts_.samples_done();
    if (done > 0)
      spdlog::info("embed: resumes after {} of {} images, which an earlier run has embedded", done,
                   dataset->size());
    Progress progress("embed", dataset->size(), "images", runtime_.is_root() && ::isatty(2) != 0);
    progress.resume_at(done);
    const auto mirror = config_.embed.mirror ? MirrorImages::kBehind : MirrorImages::kNone;
    embed_batches(dataset, batches_, {backbone, mirror}, config_, runtime_,
                  [&](const EmbeddedBatch& batch) {
                    add(batch);
                    done += batch.samples.size();
                    if (runtime_.is_root()) progress.advance(done);
                  });
    if (runtime_.is_root()) progress.finish();
  }

 private:
  void add(const EmbeddedBatch& batch) {
    const at::Tensor values = batch.embeddings.to(at::kCPU, config_.embed.type).contiguous();
    check_finite(values, batch.indices);
    const auto row_bytes = static_cast<std::size_t>(values.size(1) * bytes_of_value(config_));
    const auto* from = static_cast<const std::byte*>(values.const_data_ptr());
    for (std::int64_t i = 0; i < values.size(0); ++i, from += row_bytes) {
      const auto index =
          static_cast<std::uint32_t>(batch.indices.const_data_ptr<std::int64_t>()[i]);
      const auto of_index = std::as_bytes(std::span(&index, 1));
      records_.insert(records_.end(), of_index.begin(), of_index.end());
      records_.insert(records_.end(), from, from + row_bytes);
    }
    if (!cutter_.ends()) return;
    parts_.write(cutter_.part(), records_);
    records_.clear();
    cutter_.written();
  }

  static void check_finite(const at::Tensor& rows, const at::Tensor& indices) {
    const at::Tensor bad = at::logical_not(rows.isfinite().all(1)).nonzero();
    TORCH_CHECK(bad.numel() == 0, "embed: the embedding of image ",
                bad.numel() == 0 ? 0 : indices[bad[0].item<std::int64_t>()].item<std::int64_t>(),
                " has a value that is not finite: it is beyond float16 (then use "
                "embed.type=float32), the weights are corrupted, or values in the network overflow "
                "float16 (then use score.precision=bf16 or fp32)");
  }

  const Config& config_;
  Runtime& runtime_;
  SampleParts& parts_;
  std::vector<prune::SampleRange> batches_;
  PartCutter cutter_;
  std::vector<std::byte> records_;
};

}  // namespace

void embed_command(const Config& config, Runtime& runtime) {
  const FolderLock lock = make_output_folder(config, runtime);
  const auto dataset = open_training_set(config, runtime);
  prune::check_extents("embed: data.train", dataset->size(), dataset->num_classes());
  const std::string fingerprint = network_fingerprint(config, runtime);
  const LoadedNetwork network = load_given_network(config, runtime);
  spdlog::info("{} {}", network.shape.backbone, network.origin);
  const auto info = describe(*dataset, fingerprint, network.shape.embedding_dim, config);
  const PartsPlan plan = parts_plan(info, config, runtime.device());
  SampleParts parts(config.output + "/embeddings.parts", plan, runtime.control());
  EmbedParts(config, runtime, parts, plan.record_bytes).run(dataset, *network.backbone);
  const std::string path =
      config.output + (config.embed.npy ? "/embeddings.npy" : "/embeddings.h5");
  runtime.control().set_phase(dist::Phase::kStartup);  // rank 0 writes what may be many gigabytes
  if (config.embed.type == at::kHalf)
    write_file<HalfBits>(path, info, config, runtime.is_root(), parts);
  else
    write_file<float>(path, info, config, runtime.is_root(), parts);
  runtime.control().barrier("embeddings written");
  runtime.control().set_phase(dist::Phase::kStep);
  parts.remove();
  spdlog::info("embeddings of {} samples, {} columns: {}", dataset->size(), info.columns(), path);
}

}  // namespace diffprob::launch
