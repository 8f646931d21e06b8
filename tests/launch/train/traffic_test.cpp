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

/// What the recorder of tensors, or that of another name, holds of step `step`.
Traffic traffic_of(std::int64_t step, const std::string& name = "tensors") {
  Traffic traffic;
  for (const auto& recorder : dist::live_recorders()) {
    if (!recorder->name().starts_with(name)) continue;
    for (const auto& record : recorder->records()) {
      if (record.step != step) continue;
      const std::string kind(record.kind);
      traffic.bytes[kind] += bytes_of(record) * (kind == "all_gather" ? recorder->world_size() : 1);
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
/// The step that is looked at: those before it have reordered the buckets.
constexpr std::int64_t kStep = 3;

/// Steps as a training makes them, up to kStep, whose calls of MPI are in tests::mpi_calls.
void run_steps(const Case& c, TrainStep& trainer, Runtime& runtime) {
  StopAgreement stop(0, runtime.control());
  for (std::int64_t step = 0; step <= kStep; ++step) {
    tests::mpi_calls = {};
    trainer.step(batch_of(c, runtime), step, 0.01);
    EXPECT_FALSE(stop.agreed());
  }
}

TEST(Traffic, AStepSendsWhatTheFormulaSays) {
  const SignalGuard guard;
  for (const Case& c : {Case{16, 40, 16}, Case{32, 40, 16}, Case{16, 600, 16}, Case{16, 40, 32}}) {
    const Config config = config_of(c);
    const auto runtime = tests::make_runtime(config);
    TrainStep trainer(config, c.classes, 1, *runtime);
    run_steps(c, trainer, *runtime);
    const Traffic traffic = traffic_of(kStep);
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

TEST(Traffic, SixteenBitsHalveTheEmbeddings) {
  const SignalGuard guard;
  const Case c{16, 40, 16};
  Config config = config_of(c);
  config.model.head.embedding_wire = at::kHalf;
  const auto runtime = tests::make_runtime(config);
  TrainStep trainer(config, c.classes, 1, *runtime);
  trainer.step(batch_of(c, *runtime), 0, 0.01);
  const Traffic traffic = traffic_of(0);
  EXPECT_EQ(traffic.bytes.at("all_gather"), c.batch * (2 * c.dim + 16));
  EXPECT_EQ(traffic.bytes.at("reduce_scatter"), c.batch * 4 * c.dim);
}

/// With groups of G ranks: inside a group as above, with the group's rows in place of B; the centre
/// gradients of C / G classes go between the groups; the network's gradients, and nothing else, go
/// to all ranks.
TEST(Traffic, GroupsKeepEmbeddingsToThemselves) {
  const SignalGuard guard;
  for (const int size : {1, 2, 4}) {
    for (const Case& c :
         {Case{16, 40, 16}, Case{32, 40, 16}, Case{16, 600, 16}, Case{16, 40, 32}}) {
      Config config = config_of(c);
      config.model.head_group = std::to_string(size);
      const auto runtime = tests::make_runtime(config);
      const int ranks = runtime->world_size();
      if (ranks % size != 0 || ranks == size) continue;
      TrainStep trainer(config, c.classes, 1, *runtime);
      run_steps(c, trainer, *runtime);
      SCOPED_TRACE("W " + std::to_string(ranks) + ", G " + std::to_string(size) + ", B " +
                   std::to_string(c.batch) + ", C " + std::to_string(c.classes));
      const std::int64_t rows = c.batch / ranks * size;
      const Traffic inside = traffic_of(kStep, "copy of the head");
      const Traffic between = traffic_of(kStep, "between copies of the head");
      const Traffic all = traffic_of(kStep);
      const std::map<std::string, std::int64_t> wanted_inside = {
          {"all_gather", rows * 4 * (c.dim + 4)},
          {"reduce_scatter", rows * 4 * c.dim},
          {"all_reduce", rows * 32}};
      const std::int64_t centres = trainer.head().local_classes() * c.dim * 4;
      EXPECT_EQ(inside.bytes, wanted_inside);
      EXPECT_EQ(inside.operations.at("all_reduce"), 3);
      EXPECT_EQ(between.bytes, (std::map<std::string, std::int64_t>{{"all_reduce", centres}}));
      EXPECT_EQ(between.operations.at("all_reduce"), 1);
      EXPECT_EQ(all.bytes,
                (std::map<std::string, std::int64_t>{{"all_reduce", gradient_bytes(trainer) + 4}}));
      if (!runtime->device().is_cpu()) {
        EXPECT_EQ(tests::mpi_calls.messages, 0) << "control traffic of our own";
      }
      EXPECT_EQ(tests::mpi_calls.reductions, 1);
      if (!runtime->is_root()) continue;
      std::printf(
          "{\"W\": %d, \"G\": %d, \"B\": %ld, \"C\": %ld, \"D\": %ld, \"group_bytes\": %ld, "
          "\"group_operations\": 5, \"centre_bytes\": %ld, \"centre_operations\": 1, "
          "\"mpi_messages\": %d}\n",
          ranks, size, c.batch, c.classes, c.dim,
          inside.bytes.at("all_gather") + inside.bytes.at("reduce_scatter") +
              inside.bytes.at("all_reduce"),
          between.bytes.at("all_reduce"), tests::mpi_calls.messages);
    }
  }
}

}  // namespace
}  // namespace diffprob::launch
