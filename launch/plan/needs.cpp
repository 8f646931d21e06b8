#include "launch/plan/needs.h"

#include <algorithm>

#include "launch/config/head_group.h"

namespace diffprob::launch {
namespace {

constexpr double kFloat = 4;
constexpr double kImage = 112 * 112 * 3;

double size_of(at::ScalarType type) {
  return static_cast<double>(c10::elementSize(type));
}

/// Numbers that the optimiser keeps for each weight.
double moments(const Config& config) {
  return config.train.optimizer == model::OptimizerKind::kAdamW ? 2 : 1;
}

std::int64_t divided(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Ranks that share a copy of the classes. What is decided at the start ("node") counts as all.
int group_size(const Config& config, int ranks) {
  const HeadGroup group = head_group_of(config.model.head_group);
  const bool fits =
      group.kind == HeadGroup::Kind::kRanks && group.ranks > 0 && ranks % group.ranks == 0;
  return fits ? group.ranks : ranks;
}

double network_bytes(const Config& config, const NetworkMemory& network, bool sixteen_bit) {
  const auto parameters = static_cast<double>(network.parameters);
  const double copies = 2 + moments(config) + (config.train.ema_decay > 0 ? 1 : 0);
  return kFloat * (copies * parameters + static_cast<double>(network.buffers)) +
         (sixteen_bit ? 2 * parameters : 0);  // the weights of the products
}

double head_bytes(const Config& config, const Needs& needs, int group, int ranks) {
  const model::HeadOptions& head = config.model.head;
  const auto dim = static_cast<double>(config.model.network.embedding_dim);
  const auto classes = static_cast<double>(needs.classes);
  const double rows = static_cast<double>(needs.rows * group);
  const double copy_sum = group < ranks ? kFloat : 0;
  const double logits = std::min(kFloat * rows * classes * head.sample_rate,
                                 config.model.head_buffer_mib * kBytesPerMebibyte);
  return classes * dim * (size_of(head.storage) * (1 + moments(config)) + copy_sum) +
         3 * rows * dim * kFloat + logits;
}

/// The rows of launch/scaling/SCALING.md, "Bytes and messages per rank and step".
void add_traffic(const Config& config, const DataSize& data, int group, int ranks, Needs& needs) {
  const auto dim = static_cast<double>(config.model.network.embedding_dim);
  const double wire = size_of(config.model.head.embedding_wire);
  const double rows = static_cast<double>(config.train.batch_size) * group / ranks;
  const double part = 1 - 1.0 / group;
  needs.head_traffic = part * rows * (wire * dim + 16 + kFloat * dim + 2 * 32);
  if (const int copies = ranks / group; copies > 1)
    needs.head_traffic += 2 * (1 - 1.0 / copies) * kFloat * dim *
                          static_cast<double>(divided(data.identities, group));
  needs.gradient_traffic = 2 * (1 - 1.0 / ranks) *
                           size_of(config.train.reducer.communication_dtype) *
                           static_cast<double>(needs.parameters);
}

void add_disk(const Config& config, const NetworkMemory& network, const DataSize& data,
              Needs& needs) {
  const double kept = 1 + moments(config);
  const auto parameters = static_cast<double>(network.parameters);
  const double average = config.train.ema_decay > 0 ? parameters : 0;
  needs.checkpoint = kFloat * (kept * parameters + average + static_cast<double>(network.buffers)) +
                     size_of(config.model.head.storage) * kept *
                         static_cast<double>(data.identities) *
                         static_cast<double>(config.model.network.embedding_dim);
  const std::int64_t every = config.train.keep_every_epochs;
  needs.checkpoints = config.train.keep_checkpoints + 1 +
                      (every > 0 ? config.train.epochs / every : 0) +
                      (config.train.best_set.empty() ? 0 : 1);
}

/// All images if they fit into `gib`, as the loader decides, else nothing.
double images_bytes(const DataSize& data, double gib) {
  const double bytes = static_cast<double>(data.images) * kImage;
  return bytes <= gib * kBytesPerGibibyte ? bytes : 0;
}

}  // namespace

Needs needs_of(const Config& config, const NetworkMemory& network, const DataSize& data,
               int ranks) {
  const int group = group_size(config, ranks);
  Needs needs;
  needs.parameters = network.parameters;
  needs.rows = divided(divided(config.train.batch_size, ranks), config.train.accumulate);
  needs.classes = divided(data.identities, group);
  needs.steps_per_epoch = data.images / config.train.batch_size;
  const double activations =
      static_cast<double>(needs.rows) * static_cast<double>(network.bytes_per_image);
  const double head = head_bytes(config, needs, group, ranks);
  const double resident = images_bytes(data, config.data.resident_gib);
  needs.fp32 = {network_bytes(config, network, false), head, activations, resident};
  needs.fp16 = {network_bytes(config, network, true), head, activations / 2, resident};
  needs.decoded_cache = resident > 0 ? 0 : images_bytes(data, config.data.cache_gib);
  add_traffic(config, data, group, ranks, needs);
  add_disk(config, network, data, needs);
  return needs;
}

}  // namespace diffprob::launch
