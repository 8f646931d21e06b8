#include "launch/duplicates/find_pairs.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <tuple>

#include "data/duplicates/hash_search.h"
#include "data/error.h"
#include "data/files/worker_threads.h"
#include "data/random/splitmix64.h"
#include "dist/mpi/agreement.h"
#include "launch/duplicates/image_reader.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

/// Queries, and pairs of images, that a rank works on between two exchanges.
constexpr std::int64_t kQueries = 8192;
constexpr std::int64_t kPairs = 512;

std::int64_t size_of(const HashedImages& images) {
  return static_cast<std::int64_t>(images.views.size());
}

/// Hashes of whole images [first, first + hashes.size()), on every rank.
struct Block {
  std::int64_t first = 0;
  std::vector<data::ImageHash> hashes;
  std::vector<std::uint8_t> valid;
};

Block gather_block(const HashedImages& images, std::int64_t first, std::int64_t end,
                   Runtime& runtime) {
  const std::int64_t begin = std::clamp(first - images.first, std::int64_t{0}, size_of(images));
  const std::int64_t until = std::clamp(end - images.first, begin, size_of(images));
  std::vector<data::ImageHash> hashes;
  for (std::int64_t i = begin; i < until; ++i)
    hashes.push_back(images.views[static_cast<std::size_t>(i)][0]);
  const auto valid =
      std::span(images.valid)
          .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(until - begin));
  Block block{first, {}, {}};
  block.hashes = runtime.control().all_gather_v(std::span<const data::ImageHash>(hashes));
  block.valid = runtime.control().all_gather_v(std::span<const std::uint8_t>(valid));
  return block;
}

/// All bands of a block, over this rank's queries. Collective, so that no rank waits for long.
std::vector<data::HashMatch> search_block(data::HashIndex& index, const HashedImages& queries,
                                          int threads, Runtime& runtime,
                                          const std::function<void(std::int64_t)>& advance) {
  std::vector<data::HashMatch> matches;
  const std::int64_t longest = first_of_share(queries.total, 1, runtime.world_size());
  dist::FirstProblem problem;
  for (int band = 0; band < data::HashIndex::kBands; ++band) {
    problem.run([&] { index.prepare(band); });
    for (std::int64_t done = 0; done < longest; done += kQueries) {
      const std::int64_t begin = std::min(done, size_of(queries));
      const std::int64_t count = std::min(kQueries, size_of(queries) - begin);
      const auto at = static_cast<std::size_t>(begin);
      const auto length = static_cast<std::size_t>(count);
      problem.run([&] {
        data::search_band(index, std::span(queries.views).subspan(at, length),
                          std::span(queries.valid).subspan(at, length),
                          static_cast<std::uint32_t>(begin), threads, matches);
      });
      advance(runtime.control().all_reduce(count, dist::ReduceOp::kSum));
    }
    data::keep_nearest(matches);
  }
  problem.throw_together<std::runtime_error>(runtime.control());
  return matches;
}

/// Adds the other images with the hash of one that was found.
void add_equal_ones(std::vector<data::HashMatch>& matches, std::vector<data::HashMatch> equal) {
  std::ranges::sort(equal, {}, [](const auto& each) { return std::tuple(each.found, each.query); });
  const std::size_t found = matches.size();
  for (std::size_t i = 0; i < found; ++i) {
    const data::HashMatch match = matches[i];
    for (auto at = std::ranges::lower_bound(equal, match.found, {}, &data::HashMatch::found);
         at != equal.end() && at->found == match.found; ++at)
      matches.push_back({match.query, at->query, match.distance});
  }
}

enum class Within : bool { kTwoSets, kOneSet };

/// Pairs (query, found) of this rank's queries and all images of the index. In one set also every
/// image of this rank with the first of those that have its hash.
std::vector<ImagePair> candidates(const HashedImages& queries, const HashedImages& indexed,
                                  Within within, const PairSearch& options, Runtime& runtime) {
  std::vector<ImagePair> pairs;
  const std::int64_t blocks = (indexed.total + options.block - 1) / options.block;
  Progress progress("search", blocks * data::HashIndex::kBands * queries.total, "look-ups",
                    runtime.is_root() && ::isatty(2) != 0);
  std::int64_t done = 0;
  for (std::int64_t first = 0; first < indexed.total; first += options.block) {
    const Block block =
        gather_block(indexed, first, std::min(indexed.total, first + options.block), runtime);
    data::HashIndex index(block.hashes, block.valid);
    auto matches = search_block(index, queries, options.threads, runtime, [&](std::int64_t more) {
      done += more;
      if (runtime.is_root()) progress.advance(done);
    });
    if (within == Within::kTwoSets) add_equal_ones(matches, index.equal_hashes());
    for (const auto& match : matches)
      pairs.push_back({queries.first + match.query, first + match.found, match.distance, 0});
    if (within == Within::kTwoSets) continue;
    for (const auto& equal : index.equal_hashes())
      if (const auto at = first + equal.query - queries.first; at >= 0 && at < size_of(queries))
        pairs.push_back({queries.first + at, first + equal.found, 0, 0});
  }
  return pairs;
}

/// Sends each pair to a rank that its first image decides, and drops pairs that came twice, all but
/// the nearest.
std::vector<ImagePair> spread(std::vector<ImagePair> pairs, Runtime& runtime) {
  const auto ranks = static_cast<std::uint64_t>(runtime.world_size());
  const auto owner = [&](const ImagePair& pair) {
    return data::splitmix64(static_cast<std::uint64_t>(pair.a)) % ranks;
  };
  std::ranges::sort(pairs, {}, [&](const ImagePair& pair) {
    return std::tuple(owner(pair), pair.a, pair.b, pair.distance);
  });
  const auto same = [](const ImagePair& x, const ImagePair& y) { return x.a == y.a && x.b == y.b; };
  const auto drop_repeated = [&] {
    const auto rest = std::ranges::unique(pairs, same);
    pairs.erase(rest.begin(), rest.end());
  };
  drop_repeated();
  std::vector<std::int64_t> counts(ranks, 0);
  for (const auto& pair : pairs) ++counts[owner(pair)];
  pairs = runtime.control().all_to_all_v(std::span<const ImagePair>(pairs), counts);
  std::ranges::sort(
      pairs, {}, [](const ImagePair& pair) { return std::tuple(pair.a, pair.b, pair.distance); });
  drop_repeated();
  return pairs;
}

/// Compares the pixels of pairs; decodes the first image once for pairs that follow each other.
class Comparison {
 public:
  Comparison(const ImageSource& a, const ImageSource& b, int threads)
      : a_(a), b_(b), threads_(std::max(1, threads)) {
    for (int i = 0; i < threads_; ++i) workers_.push_back(std::make_unique<Worker>());
  }

  void compare(std::span<ImagePair> pairs) {
    data::parallel_for(
        0, static_cast<std::int64_t>(pairs.size()), threads_, [&](std::int64_t i, int worker) {
          Worker& w = *workers_[static_cast<std::size_t>(worker)];
          ImagePair& pair = pairs[static_cast<std::size_t>(i)];
          if (w.last != pair.a) w.description = describe(a_, pair.a, w);
          w.last = pair.a;
          pair.similarity =
              static_cast<float>(data::image_similarity(w.description, describe(b_, pair.b, w)));
        });
  }

 private:
  struct Worker {
    ImageReader reader;
    std::int64_t last = -1;
    data::ImageDescription description;
  };

  data::ImageDescription describe(const ImageSource& source, std::int64_t index, Worker& w) const {
    return hasher_.describe(w.reader.read(source, index));
  }

  const ImageSource& a_;
  const ImageSource& b_;
  int threads_;
  data::ImageHasher hasher_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// Those of all ranks that are alike, on rank 0.
std::vector<ImagePair> verified(const ImageSource& a, const ImageSource& b,
                                std::vector<ImagePair> pairs, const PairSearch& options,
                                Runtime& runtime) {
  auto& control = runtime.control();
  pairs = spread(std::move(pairs), runtime);
  const auto own = static_cast<std::int64_t>(pairs.size());
  const std::int64_t most = control.all_reduce(own, dist::ReduceOp::kMax);
  Progress progress("compare", control.all_reduce(own, dist::ReduceOp::kSum), "pairs",
                    runtime.is_root() && ::isatty(2) != 0);
  Comparison comparison(a, b, options.threads);
  dist::FirstProblem problem;
  std::int64_t done = 0;
  for (std::int64_t first = 0; first < most; first += kPairs) {
    const std::int64_t begin = std::min(first, own);
    const std::int64_t count = std::min(kPairs, own - begin);
    problem.run([&] {
      comparison.compare(std::span(pairs).subspan(static_cast<std::size_t>(begin),
                                                  static_cast<std::size_t>(count)));
    });
    done += control.all_reduce(count, dist::ReduceOp::kSum);
    if (runtime.is_root()) progress.advance(done);
  }
  problem.throw_together<std::runtime_error>(control);
  std::erase_if(pairs, [&](const ImagePair& pair) {
    return pair.similarity < static_cast<float>(options.least_similarity);
  });
  std::vector<std::int64_t> counts(static_cast<std::size_t>(runtime.world_size()), 0);
  counts[0] = static_cast<std::int64_t>(pairs.size());
  pairs = control.all_to_all_v(std::span<const ImagePair>(pairs), counts);
  std::ranges::sort(pairs, {}, [](const ImagePair& pair) { return std::tuple(pair.a, pair.b); });
  return pairs;
}

}  // namespace

std::vector<ImagePair> find_pairs(const ImageSource& source, const HashedImages& images,
                                  const PairSearch& options, Runtime& runtime) {
  auto pairs = candidates(images, images, Within::kOneSet, options, runtime);
  std::erase_if(pairs, [](const ImagePair& pair) { return pair.a == pair.b; });
  for (auto& pair : pairs)
    if (pair.a > pair.b) std::swap(pair.a, pair.b);
  return verified(source, source, std::move(pairs), options, runtime);
}

std::vector<ImagePair> find_pairs_between(const ImageSource& source_a, const HashedImages& images_a,
                                          const ImageSource& source_b, const HashedImages& images_b,
                                          const PairSearch& options, Runtime& runtime) {
  auto pairs = candidates(images_a, images_b, Within::kTwoSets, options, runtime);
  for (ImagePair pair : candidates(images_b, images_a, Within::kTwoSets, options, runtime)) {
    std::swap(pair.a, pair.b);
    pairs.push_back(pair);
  }
  return verified(source_a, source_b, std::move(pairs), options, runtime);
}

}  // namespace diffprob::launch
