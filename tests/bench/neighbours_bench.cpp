// Near-duplicates by embedding in a large synthetic set: mpirun -np W neighbours_bench FILE [ROWS
// [IDENTITIES [THREADS]]]. Makes FILE (HDF5 as of `diffprob embed`, float16, 512 numbers per row;
// 1,000,000 rows of 20,000 identities) unless it is there. Rows of an identity have a cosine of 0.6
// with each other, those of different ones about 0. Planted, as noisy copies (cosine 0.97) of
// another row: one row in 100 in its identity, one in 200 under a wrong label, and one identity in
// 100 is the one before it under a second label, of which every third row is a copy. Prints JSON:
// seconds and products per second of each step on the slowest rank, peak memory per rank, recall
// and precision of the planted pairs, and as a limit in the same run LibTorch's float32 matrix
// product (at::mm) on the same number of threads, before and after.
#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/random/keyed_random.h"
#include "dist/mpi/environment.h"
#include "eval/neighbours/block_matches.h"
#include "eval/neighbours/neighbours.h"
#include "eval/neighbours/row_products.h"
#include "launch/observe/memory_use.h"
#include "prune/tables/embedding_file.h"

namespace {

using namespace diffprob;

constexpr std::int64_t kDim = 512;
constexpr float kIntra = 0.6F;    // cosine of two rows of an identity
constexpr float kCopied = 0.97F;  // of a row and its copy

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Sizes {
  std::int64_t rows = 1'000'000;
  std::int64_t identities = 20'000;
  [[nodiscard]] std::int64_t per_identity() const { return rows / identities; }
  [[nodiscard]] std::int64_t identity(std::int64_t row) const {
    return std::min(row / per_identity(), identities - 1);
  }
};

enum class Kind : std::uint8_t { kPlain, kInside, kWrongLabel, kSecondLabel };

/// What is planted at a row, and the row that it is a copy of.
struct Planted {
  Kind kind = Kind::kPlain;
  std::int64_t source = 0;
};

bool is_second_label(const Sizes& sizes, std::int64_t identity) {
  return identity % 100 == 51 && identity < sizes.identities - 1;
}

Planted planted_at(const Sizes& sizes, std::int64_t row) {
  const std::int64_t n = sizes.per_identity();
  const std::int64_t in_identity = row % n;
  if (is_second_label(sizes, sizes.identity(row)))
    return in_identity % 3 == 1 ? Planted{Kind::kSecondLabel, row - n} : Planted{};
  if (row % 100 == 7 && in_identity > 0) return {Kind::kInside, row - 1};
  const std::int64_t elsewhere = row - 10 * n;
  if (row % 200 == 33 && elsewhere >= 0 && planted_at(sizes, elsewhere).kind == Kind::kPlain)
    return {Kind::kWrongLabel, elsewhere};
  return {};
}

/// A direction of length 1 that the number names: uniform numbers make it cheap.
void direction(std::uint64_t stream, std::int64_t number, std::vector<float>& out) {
  std::uint64_t state = data::splitmix64(stream * 1'000'003 + static_cast<std::uint64_t>(number));
  double square = 0;
  for (float& value : out) {
    state = data::splitmix64(state);
    value = static_cast<float>(state >> 40U) * 0x1p-23F - 1;
    square += double{value} * double{value};
  }
  for (float& value : out) value = static_cast<float>(value / std::sqrt(square));
}

void mix(std::vector<float>& out, float cosine, const std::vector<float>& other) {
  const float rest = std::sqrt(1 - cosine * cosine);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = cosine * out[i] + rest * other[i];
}

void make_row(const Sizes& sizes, std::int64_t row, std::vector<float>& out,
              std::vector<float>& noise) {
  if (const Planted planted = planted_at(sizes, row); planted.kind != Kind::kPlain) {
    make_row(sizes, planted.source, out, noise);
    direction(3, row, noise);
    return mix(out, kCopied, noise);
  }
  const std::int64_t identity = sizes.identity(row);
  direction(1, is_second_label(sizes, identity) ? identity - 1 : identity, out);
  direction(2, row, noise);
  mix(out, std::sqrt(kIntra), noise);
}

void write_embeddings(const std::string& path, const Sizes& sizes) {
  prune::EmbeddingSourceInfo info;
  info.dataset_fingerprint = info.model_fingerprint = "synthetic";
  info.num_samples = sizes.rows;
  info.dim = kDim;
  prune::EmbeddingWriter file(path, info, true);
  std::vector<float> row(kDim), noise(kDim);
  for (std::int64_t i = 0; i < sizes.rows; ++i) {
    make_row(sizes, i, row, noise);
    file.append(std::span<const float>(row));
  }
  file.commit();
}

/// Products of float32 rows per second by LibTorch, of matrices as large as a step's.
double library_rate(int threads) {
  at::set_num_threads(threads);
  const at::Tensor a = at::randn({2048, kDim}), b = at::randn({8192, kDim});
  (void)at::mm(a, b.t());
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const double start = now();
    (void)at::mm(a, b.t());
    best = std::max(best, 2048.0 * 8192 / (now() - start));
  }
  return best;
}

/// Likewise by our own kernel.
double own_rate(int threads) {
  const at::Tensor a = at::randn({2048, kDim}), b = at::randn({8192, kDim});
  std::vector<eval::BlockMatch> none;
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    const double start = now();
    eval::find_matches({a.const_data_ptr<float>(), 2048, kDim},
                       {b.const_data_ptr<float>(), 8192, kDim}, eval::BlockPairs::kAll, 1e9F,
                       threads, none);
    best = std::max(best, 2048.0 * 8192 / (now() - start));
  }
  return best;
}

class StepTimes {
 public:
  void advance(const std::string& what, std::int64_t done, std::int64_t total) {
    const double time = now();
    seconds_[what] += time - last_;
    last_ = time;
    done_[what] = {done, total};
  }
  [[nodiscard]] nlohmann::json json() const {
    nlohmann::json all;
    for (const auto& [what, seconds] : seconds_)
      all[what.substr(0, what.find(" of /"))] = {{"seconds", seconds},
                                                 {"units", done_.at(what).second}};
    return all;
  }

 private:
  double last_ = now();
  std::map<std::string, double> seconds_;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> done_;
};

nlohmann::json judge(const Sizes& sizes, const std::vector<eval::NeighbourPair>& pairs) {
  std::set<std::pair<std::int64_t, std::int64_t>> found;
  for (const auto& pair : pairs) found.emplace(pair.a, pair.b);
  std::map<Kind, std::int64_t> planted, right;
  std::int64_t all_right = 0;
  for (std::int64_t row = 0; row < sizes.rows; ++row) {
    const Planted at = planted_at(sizes, row);
    if (at.kind == Kind::kPlain) continue;
    ++planted[at.kind];
    if (!found.contains({std::min(row, at.source), std::max(row, at.source)})) continue;
    ++right[at.kind];
    ++all_right;
  }
  const auto line = [&](Kind kind) {
    return nlohmann::json{{"planted", planted[kind]}, {"found", right[kind]}};
  };
  return {{"inside an identity", line(Kind::kInside)},
          {"under a wrong label", line(Kind::kWrongLabel)},
          {"of an identity with two labels", line(Kind::kSecondLabel)},
          {"pairs", pairs.size()},
          {"pairs that are not planted", static_cast<std::int64_t>(pairs.size()) - all_right}};
}

int run(const std::string& path, const Sizes& sizes, int threads) {
  dist::HostCollectives control;
  if (control.rank() == 0 && !std::filesystem::exists(path)) write_embeddings(path, sizes);
  control.barrier("embeddings are there");
  const double library_before = library_rate(threads), own = own_rate(threads);
  const prune::EmbeddingReader file(path);
  if (file.source().num_samples != sizes.rows || file.source().dim != kDim)
    throw std::runtime_error(path + ": made for another number of rows; remove it");
  const eval::EmbeddedSet set = {
      path,
      sizes.rows,
      kDim,
      sizes.identities,
      [&](std::int64_t row) { return sizes.identity(row); },
      [&](std::int64_t first, std::span<float> values) { file.read(first, values); }};
  const auto memory_before = launch::memory_use(at::kCPU).host;
  StepTimes steps;
  eval::NeighbourOptions options;
  options.threads = threads;
  options.near = options.across = 0.9;
  options.progress = [&](const std::string& what, std::int64_t done, std::int64_t total) {
    steps.advance(what, done, total);
  };
  control.barrier("start");
  const double start = now();
  const eval::Neighbours found = eval::find_neighbours(set, options, control);
  const double seconds = control.all_reduce(now() - start, dist::ReduceOp::kMax);
  const double mib = 1024.0 * 1024.0;
  const auto peaks =
      control.all_gather(static_cast<double>(launch::memory_use(at::kCPU).host_peak) / mib);
  if (control.rank() != 0) return 0;
  nlohmann::json out = {{"bench", "neighbours"},
                        {"rows", sizes.rows},
                        {"dim", kDim},
                        {"identities", sizes.identities},
                        {"world_size", control.world_size()},
                        {"threads_per_rank", threads},
                        {"least cosines",
                         {{"near", options.near},
                          {"across", options.across},
                          {"centre", options.centre},
                          {"stray", options.stray}}},
                        {"seconds", seconds},
                        {"steps of rank 0", steps.json()},
                        {"strays", found.strays},
                        {"pairs of identities", found.identities.size()},
                        {"peak MiB per rank", peaks},
                        {"MiB before the search", static_cast<double>(memory_before) / mib},
                        {"planted", judge(sizes, found.pairs)},
                        {"products per second and rank, busy machine: kernel alone", own},
                        {"products per second and rank: at::mm before", library_before},
                        {"products per second and rank: at::mm after", library_rate(threads)}};
  std::printf("%s\n", out.dump(1).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  Sizes sizes;
  if (argc > 2) sizes.rows = std::atoll(argv[2]);
  if (argc > 3) sizes.identities = std::atoll(argv[3]);
  const int threads = argc > 4 ? std::atoi(argv[4]) : 1;
  if (argc < 2 || sizes.identities < 2 || sizes.per_identity() < 1 || threads < 1) {
    std::fprintf(stderr, "usage: neighbours_bench FILE [ROWS [IDENTITIES [THREADS]]]\n");
    return 2;
  }
  try {
    return run(argv[1], sizes, threads);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "neighbours_bench: %s\n", error.what());
    mpi.abort(1);
  }
}
