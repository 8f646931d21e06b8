// All metrics of a verification set from embeddings: verification_bench FOLDER [PAIRS [REPEATS]].
// 512-d random embeddings, seeded; same pairs share a direction. Writes FOLDER/embeddings.f32 and
// FOLDER/same.u8 for peer_verification.py, which does the same with numpy as the field's scripts
// do. Prints JSON: seconds (median of the repeats), and results to compare.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/files/atomic_file.h"
#include "data/random/keyed_random.h"
#include "eval/embed/embedder.h"

namespace {

using namespace diffprob;

constexpr std::int64_t kDim = 512;

at::Tensor make_embeddings(std::int64_t pairs, std::vector<bool>& same) {
  auto embeddings = at::empty({2 * pairs, kDim}, at::kFloat);
  auto* out = embeddings.mutable_data_ptr<float>();
  for (std::int64_t p = 0; p < pairs; ++p) {
    same.push_back(p / 300 % 2 == 0);  // 300 of each, in turn, as in LFW
    data::KeyedRandom shared(data::combine_key(1, static_cast<std::uint64_t>(p))),
        other(data::combine_key(2, static_cast<std::uint64_t>(p)));
    data::KeyedRandom noise(data::combine_key(3, static_cast<std::uint64_t>(p)));
    for (std::int64_t i = 0; i < kDim; ++i) {
      const float a = shared.uniform(-1, 1), b = other.uniform(-1, 1);
      out[2 * p * kDim + i] = a + 3.2F * noise.uniform(-1, 1);
      out[(2 * p + 1) * kDim + i] = (same.back() ? a : b) + 3.2F * noise.uniform(-1, 1);
    }
  }
  return embeddings;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(const std::string& folder, std::int64_t pairs, int repeats) {
  at::set_num_threads(1);
  std::filesystem::create_directories(folder);
  std::vector<bool> same;
  const at::Tensor embeddings = make_embeddings(pairs, same);
  data::write_file_atomically(
      folder + "/embeddings.f32",
      std::as_bytes(std::span(embeddings.const_data_ptr<float>(),
                              static_cast<std::size_t>(embeddings.numel()))));
  const std::vector<std::uint8_t> flags(same.begin(), same.end());
  data::write_file_atomically(folder + "/same.u8", std::as_bytes(std::span(flags)));

  eval::SetReport report;
  std::vector<double> all, distances_only;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto distances = eval::pair_distances(embeddings);
    const auto middle = std::chrono::steady_clock::now();
    report = eval::report_pairs("random", distances, same, 10);
    const auto end = std::chrono::steady_clock::now();
    all.push_back(std::chrono::duration<double>(end - start).count());
    distances_only.push_back(std::chrono::duration<double>(middle - start).count());
  }
  const nlohmann::ordered_json json = {{"pairs", pairs},
                                       {"dim", kDim},
                                       {"device", "cpu, 1 thread"},
                                       {"repeats", repeats},
                                       {"seconds", median(all)},
                                       {"seconds_of_distances", median(distances_only)},
                                       {"accuracy", report.verification.accuracy_mean},
                                       {"accuracy_std", report.verification.accuracy_std},
                                       {"val", report.val[0].val.val_mean},
                                       {"far", report.val[0].val.far_mean},
                                       {"auc", report.auc},
                                       {"eer", report.eer}};
  std::printf("%s\n", json.dump(1).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t pairs = argc > 2 ? std::atoll(argv[2]) : 6000;
  const int repeats = argc > 3 ? std::atoi(argv[3]) : 11;
  if (argc < 2 || pairs < 1000 || repeats < 1) {
    std::fprintf(stderr, "usage: verification_bench FOLDER [PAIRS (1000 or more) [REPEATS]]\n");
    return 2;
  }
  try {
    return run(argv[1], pairs, repeats);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "verification_bench: %s\n", error.what());
    return 1;
  }
}
