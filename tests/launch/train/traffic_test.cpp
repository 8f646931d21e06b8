// What a training step sends, by the flight recorders and by counting calls of MPI, against the
// formula of launch/scaling/SCALING.md. On CPUs tensors go through MPI as well; on pretended
// devices they go to the (pretended) NCCL, and whatever MPI is asked for is control traffic.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdio>
#include <map>
#include <string>

#include "dist/flight_recorder.h"
#include "launch/job/signals.h"
#include "launch/train/train_step.h"
#include "tests/launch/job/runtime_under_test.h"
#include "tests/support/mpi_calls.h"

namespace diffprob::launch {
namespace {

struct Case {
  std::int64_t batch;  // B
  std::int64_t classes;
  std::int64_t dim;
};

Config config_of(const Case& c) {
  Config config;
  config.model.network.name = "tiny";
  config.train.precision = Precision::kFp32;
  config.model.network.embedding_dim = c.dim;
  config.train.batch_size = c.batch;
  config.dist.bucket_mib = 1e-2;  // several buckets
  return config;
}

data::Batch batch_of(const Case& c, const Runtime& runtime) {
  const auto rows = data::rows_of_rank(c.batch, runtime.rank(), runtime.world_size());
  const std::int64_t own = rows.end - rows.begin;
  return {at::randint(0, 256, {own, 112, 112, 3}, at::kByte),
          at::randint(0, c.classes, {own}, at::kLong), at::arange(own)};
}

std::int64_t bytes_of(const dist::OperationRecord& record) {
  std::int64_t bytes = record.dtype.ends_with("64")   ? 8
                       : record.dtype.ends_with("32") ? 4
                       : record.dtype == "uint8"      ? 1
                                                      : 2;
  for (std::size_t i = 0; i < record.dims; ++i) bytes *= record.sizes[i];
  return bytes;
}

struct Traffic {
  std::map<std::string, std::int64_t>
      bytes;  // of the tensors, by kind of operation; a gather's is the whole that comes together
  std::map<std::string, std::int64_t> operations;  // likewise
};

/// What the recorder of tensors holds of step `step`.
Traffic traffic_of(std::int64_t step, const Runtime& runtime) {
  Traffic traffic;
  for (const auto& recorder : dist::live_recorders()) {
    if (!recorder->name().starts_with("tensors")) continue;
    for (const auto& record : recorder->records()) {
      if (record.step != step) continue;
      const std::string kind(record.kind);
      traffic.bytes[kind] += bytes_of(record) * (kind == "all_gather" ? runtime.world_size() : 1);
      ++traffic.operations[kind];
    }
  }
  return traffic;
}

/// Bytes of the network's gradients: each starts a cache line.
std::int64_t gradient_bytes(TrainStep& trainer) {
  std::int64_t bytes = 0;
  for (const auto& parameter : trainer.backbone().parameters()) {
    if (parameter.requires_grad()) bytes += (parameter.numel() * 4 + 63) / 64 * 64;
  }
  return bytes;
}

/// B (4 (D + 4) + 4 D + 32) + 4 P + 4 bytes, whatever C and W are. A term in W^2 would be one in W
/// here, where B is given.
TEST(Traffic, AStepSendsWhatTheFormulaSays) {
  const SignalGuard guard;
  for (const Case& c : {Case{16, 40, 16}, Case{32, 40, 16}, Case{16, 600, 16}, Case{16, 40, 32}}) {
    const Config config = config_of(c);
    const auto runtime = tests::make_runtime(config);
    TrainStep trainer(config, c.classes, 1, *runtime);
    StopAgreement stop(0, runtime->control());
    constexpr std::int64_t kStep = 3;
    for (std::int64_t step = 0; step <= kStep; ++step) {
      tests::mpi_calls = {};
      trainer.step(batch_of(c, *runtime), step, 0.01);
      EXPECT_FALSE(stop.agreed());
    }
    const Traffic traffic = traffic_of(kStep, *runtime);
    const std::int64_t gradients = gradient_bytes(trainer);
    const std::map<std::string, std::int64_t> wanted = {
        {"all_gather", c.batch * 4 * (c.dim + 4)},
        {"reduce_scatter", c.batch * 4 * c.dim},
        {"all_reduce", c.batch * 32 + gradients + 4}};
    EXPECT_EQ(traffic.bytes, wanted) << "B " << c.batch << ", C " << c.classes << ", D " << c.dim;
    EXPECT_EQ(traffic.operations.at("all_gather"), 1);
    EXPECT_EQ(traffic.operations.at("reduce_scatter"), 1);
    EXPECT_GT(traffic.operations.at("all_reduce"),
              3 + 1 + 2);  // softmax, finite or not, several buckets
    if (!runtime->device().is_cpu()) {
      EXPECT_EQ(tests::mpi_calls.messages, 0) << "control traffic of our own";
    }
    EXPECT_EQ(tests::mpi_calls.reductions, runtime->world_size() == 1 ? 0 : 1);
    if (!runtime->is_root()) continue;
    std::printf(
        "{\"W\": %d, \"B\": %ld, \"C\": %ld, \"D\": %ld, \"head_bytes\": %ld, \"gradient_bytes\": "
        "%ld, \"all_reduces\": %ld, "
        "\"mpi_messages\": %d, \"mpi_reductions\": %d}\n",
        runtime->world_size(), c.batch, c.classes, c.dim,
        traffic.bytes.at("all_gather") + traffic.bytes.at("reduce_scatter") + c.batch * 32,
        gradients, traffic.operations.at("all_reduce"), tests::mpi_calls.messages,
        tests::mpi_calls.reductions);
  }
}

}  // namespace
}  // namespace diffprob::launch
