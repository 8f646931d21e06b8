// Pruning from a score file to kept lists: mpirun -np W prune_bench SAMPLES IDENTITIES FOLDER
// [REPEATS [shuffled]]. Makes FOLDER/scores.h5 (all columns; long-tailed identities, in order of
// identity as in record files, or shuffled) unless it is there with that size, then selects with a
// threshold, writes the files, and selects again with a searched threshold. Prints JSON: wall
// seconds of the slowest rank, best of the repeats, each step of that repeat on rank 0, and the
// peak memory a rank.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "dist/mpi/environment.h"
#include "prune/files/hdf5_file.h"
#include "prune/prune.h"
#include "prune/tables/score_file.h"
#include "prune/tables/source_attributes.h"
#include "tests/bench/long_tail.h"

namespace {

using namespace diffprob;

constexpr double kThreshold = 0.01;

std::vector<std::int32_t> make_labels(std::int64_t samples, std::int64_t identities,
                                      bool shuffled) {
  std::vector<std::int32_t> labels;
  labels.reserve(static_cast<std::size_t>(samples));
  const auto sizes = long_tailed_sizes(samples, identities);
  for (std::size_t c = 0; c < sizes.size(); ++c)
    labels.insert(labels.end(), static_cast<std::size_t>(sizes[c]), static_cast<std::int32_t>(c));
  for (std::size_t i = labels.size(); shuffled && i > 1; --i) {
    std::swap(labels[i - 1],
              labels[static_cast<std::size_t>(uniform(2, i) * static_cast<double>(i))]);
  }
  return labels;
}

template <class T, class At>
void write_column(const prune::HdfWriter& file, const char* name, std::size_t count, const At& at) {
  auto column = file.column<T>(name, count);
  std::vector<T> piece;
  for (std::size_t first = 0; first < count; first += piece.size()) {
    piece.resize(std::min(count - first, prune::kHdfChunkElements));
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = at(first + i);
    column.append(piece);
  }
  column.finish();
}

void write_scores(const std::string& path, const std::vector<std::int32_t>& labels,
                  std::int64_t identities) {
  prune::HdfWriter file(path);
  file.attribute("format", std::string(prune::kScoreFormat));
  file.attribute("format_version", prune::kScoreVersion);
  file.attribute("num_samples", static_cast<std::int64_t>(labels.size()));
  prune::write_source(file, {"benchmark", "none", 0, 64, "", identities});
  const std::size_t n = labels.size();
  const auto nll = [](std::size_t i) {
    return static_cast<float>(-std::log1p(-0.999 * std::pow(uniform(3, i), 4)));
  };
  write_column<std::int32_t>(file, "label", n, [&](std::size_t i) { return labels[i]; });
  write_column<std::int32_t>(file, "top1", n, [&](std::size_t i) {
    const bool wrong = uniform(4, i) < 0.02;
    return wrong ? static_cast<std::int32_t>(uniform(5, i) * static_cast<double>(identities))
                 : labels[i];
  });
  write_column<float>(file, "nll", n, nll);
  write_column<float>(file, "probability", n, [&](std::size_t i) { return std::exp(-nll(i)); });
  for (const char* name : {"top1_log_prob", "second_log_prob"})
    write_column<float>(file, name, n, [](std::size_t) { return -0.5F; });
  for (const char* name : {"sum_p2", "entropy", "cosine", "norm"}) {
    write_column<float>(file, name, n,
                        [](std::size_t i) { return static_cast<float>(uniform(6, i)); });
  }
  file.commit();
}

void make_file(const std::string& path, std::int64_t samples, std::int64_t identities,
               bool shuffled) {
  if (std::filesystem::exists(path)) {
    const prune::HdfReader file(path);
    if (file.integer("num_samples") == samples && file.integer("num_classes") == identities) return;
  }
  write_scores(path, make_labels(samples, identities, shuffled), identities);
}

/// MiB of this process: "VmRSS" now, "VmHWM" at most so far.
double memory_mib(const std::string& what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(what + ":")) return std::atof(line.c_str() + what.size() + 1) / 1024;
  }
  return 0;
}

/// Wall seconds of the slowest rank.
double seconds(dist::HostCollectives& collectives, const std::function<void()>& work) {
  collectives.barrier("before");
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> own = std::chrono::steady_clock::now() - start;
  return collectives.all_reduce(own.count(), dist::ReduceOp::kMax);
}

struct Measured {
  double select = 1e300;
  double write = 0;
  prune::PruneResult result;
};

Measured measure(const std::string& folder, const prune::PruneOptions& options, int repeats,
                 dist::HostCollectives& collectives) {
  Measured best;
  for (int i = 0; i < repeats; ++i) {
    prune::PruneResult result;
    const double select = seconds(collectives, [&] {
      result = prune::prune({folder + "/scores.h5", "", ""}, options, collectives);
    });
    const double write =
        seconds(collectives, [&] { prune::write_pruning(folder, result, collectives); });
    if (select + write < best.select + best.write) best = {select, write, std::move(result)};
  }
  return best;
}

nlohmann::ordered_json to_json(const Measured& one) {
  nlohmann::ordered_json steps;
  for (const auto& [name, s] : one.result.seconds) steps[name] = s;
  return {{"selection_s", one.select},           {"files_s", one.write},
          {"total_s", one.select + one.write},   {"kept", one.result.kept},
          {"threshold", one.result.threshold()}, {"steps_of_rank_0_s", steps}};
}

int run(std::int64_t samples, std::int64_t identities, const std::string& folder, int repeats,
        bool shuffled) {
  dist::HostCollectives collectives;
  if (collectives.rank() == 0) {
    std::filesystem::create_directories(folder);
    make_file(folder + "/scores.h5", samples, identities, shuffled);
  }
  collectives.barrier("file made");
  std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM from here on
  const double before = memory_mib("VmRSS");
  prune::PruneOptions options;
  options.diffprob.threshold = kThreshold;
  const Measured fixed = measure(folder, options, repeats, collectives);
  const auto peak = collectives.all_gather(memory_mib("VmHWM"));
  options.keep_ratio = 0.5;
  const Measured searched = measure(folder, options, repeats, collectives);
  const auto peak_of_search = collectives.all_gather(memory_mib("VmHWM"));
  if (collectives.rank() != 0) return 0;
  nlohmann::ordered_json json = {{"samples", samples},
                                 {"identities", identities},
                                 {"order", shuffled ? "shuffled" : "by identity"},
                                 {"world_size", collectives.world_size()},
                                 {"device", "cpu"},
                                 {"repeats", repeats},
                                 {"memory_before_mib", before},
                                 {"peak_mib_of_ranks", peak},
                                 {"peak_with_search_mib_of_ranks", peak_of_search}};
  json["threshold"] = to_json(fixed);
  json["search"] = to_json(searched);
  json["search"]["evaluations"] = searched.result.search->curve.size();
  json["search"]["times_one_selection"] = searched.select / fixed.select;
  std::printf("%s\n", json.dump(1).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  const std::int64_t samples = argc > 1 ? std::atoll(argv[1]) : 0;
  const std::int64_t identities = argc > 2 ? std::atoll(argv[2]) : 0;
  const int repeats = argc > 4 ? std::atoi(argv[4]) : 1;
  const bool shuffled = argc > 5 && std::string(argv[5]) == "shuffled";
  if (argc < 4 || identities < 1 || samples < identities || identities > INT32_MAX || repeats < 1) {
    std::fprintf(stderr, "usage: prune_bench SAMPLES IDENTITIES FOLDER [REPEATS [shuffled]]\n");
    return 2;
  }
  try {
    return run(samples, identities, argv[3], repeats, shuffled);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "prune_bench: %s\n", error.what());
    mpi.abort(1);
  }
}
