// How long a training stands still for a checkpoint, and how long a synchronous write of the same
// takes. One JSON line. mpirun -np 2 checkpoint_bench [FOLDER] [CLASSES]: MobileFaceNet with SGD
// momenta and CLASSES (100,000) x 512 class rows with momenta.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "data/files/atomic_file.h"
#include "dist/mpi/environment.h"
#include "launch/checkpoint/writer.h"
#include "model/head/sharded_head.h"
#include "model/networks/backbone.h"

namespace {

using namespace diffprob;
using Clock = std::chrono::steady_clock;
constexpr std::int64_t kDim = 512;

template <class Action>
double seconds(dist::HostCollectives& control, Action action) {
  control.barrier("begin");
  const auto begin = Clock::now();
  action();
  const double own = std::chrono::duration<double>(Clock::now() - begin).count();
  return control.all_reduce(own, dist::ReduceOp::kMax);
}

launch::CheckpointState state_of(const model::Backbone& network, std::int64_t classes, int rank,
                                 int world_size) {
  launch::CheckpointState state;
  state.backbone = model::state_dict(network);
  launch::ReplicatedPart optimizer{"optimizer", {}};
  for (const auto& item : network.named_parameters()) {
    optimizer.entries.emplace_back(item.key() + ".momentum", at::zeros_like(item.value()));
  }
  state.replicated = {optimizer};
  state.first_class = model::first_class_of_rank(classes, rank, world_size);
  const auto rows = model::first_class_of_rank(classes, rank + 1, world_size) - state.first_class;
  state.rows = {{"weight", at::randn({rows, kDim})}, {"momentum", at::randn({rows, kDim})}};
  return state;
}

std::int64_t bytes_of(const launch::CheckpointState& state, bool replicated) {
  std::int64_t bytes = 0;
  const auto add = [&](const model::StateDict& entries) {
    for (const auto& [name, tensor] : entries) bytes += static_cast<std::int64_t>(tensor.nbytes());
  };
  add(state.rows);
  if (replicated) add(state.backbone), add(state.replicated[0].entries);
  return bytes;
}

/// The floor: the same bytes written and synced, nothing else.
void write_plain(const std::string& path, const launch::CheckpointState& state) {
  data::AtomicFile file(path);
  for (const auto& [name, tensor] : state.rows) {
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(tensor.const_data_ptr()),
                                           tensor.nbytes());
    for (std::size_t at = 0; at < bytes.size(); at += 1 << 18)
      file.write(bytes.subspan(at, std::min<std::size_t>(1 << 18, bytes.size() - at)));
  }
  file.commit();
}

void run(const std::string& folder, std::int64_t classes, dist::HostCollectives& control) {
  const auto network = model::make_backbone({"mobilefacenet", kDim, 0.0, 1});
  const auto state = state_of(*network, classes, control.rank(), control.world_size());
  launch::CheckpointWriter writer(folder, {2, 0}, control);
  nlohmann::ordered_json out;
  std::vector<double> stalls, writes;
  for (std::int64_t step = 0; step < 4; ++step) {
    launch::CheckpointInfo info;
    info.step = step;
    info.num_classes = classes;
    const double stall = seconds(control, [&] { writer.start(info, state); });
    const double rest = seconds(control, [&] { writer.finish(); });
    stalls.push_back(stall);
    writes.push_back(stall + rest);
  }
  const std::string plain_file = folder + "/plain." + std::to_string(control.rank());
  const double plain = seconds(control, [&] { write_plain(plain_file, state); });
  std::filesystem::remove(plain_file);
  const auto bytes = control.all_reduce(bytes_of(state, control.rank() == 0), dist::ReduceOp::kSum);
  out["ranks"] = control.world_size();
  out["classes"] = classes;
  out["megabytes"] = static_cast<double>(bytes) / 1e6;
  out["stall_first_s"] = stalls.front();
  out["stall_s"] = *std::min_element(stalls.begin() + 1, stalls.end());
  out["stalls_s"] = stalls;
  out["synchronous_s"] = *std::min_element(writes.begin() + 1, writes.end());
  out["synchronous_each_s"] = writes;
  out["plain_write_and_sync_s"] = plain;
  out["synchronous_over_stall"] = out["synchronous_s"].get<double>() / out["stall_s"].get<double>();
  if (control.rank() == 0) std::printf("%s\n", out.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  try {
    const at::NoGradGuard no_grad;
    dist::HostCollectives control;
    const std::string folder =
        (argc > 1 ? std::string(argv[1]) : std::filesystem::temp_directory_path().string()) +
        "/checkpoint_bench";
    run(folder, argc > 2 ? std::atoll(argv[2]) : 100000, control);
    control.barrier("end");
    if (control.rank() == 0) std::filesystem::remove_all(folder);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    mpi.abort(1);
  }
  return 0;
}
