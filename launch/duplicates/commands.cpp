#include "launch/duplicates/commands.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "dist/mpi/agreement.h"
#include "launch/duplicates/by_embedding/embedded_sets.h"
#include "launch/duplicates/by_embedding/search.h"
#include "launch/duplicates/find_pairs.h"
#include "launch/duplicates/hashed_images.h"
#include "launch/duplicates/pair_files.h"
#include "launch/duplicates/test_images.h"
#include "launch/inputs/open_data.h"
#include "launch/job/output_folder.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

using Dataset = std::shared_ptr<const data::Dataset>;

ImageSource source_of(const Dataset& dataset) {
  return {"images", dataset->size(), [dataset](std::int64_t index, std::vector<std::byte>& bytes) {
            dataset->read(index, bytes);
          }};
}

PairSearch search_of(const Config& config) {
  return {.threads = std::max(1, config.data.loader.decode_threads)};
}

void warn_about_images(const HashedImages& images, const std::string& name) {
  if (!images.unreadable.empty())
    spdlog::warn("{}: {} images cannot be read, the first: {}", name, images.unreadable.size(),
                 images.first_error);
  if (images.flat > 0)
    spdlog::warn("{}: {} images have nearly one colour and are not compared", name, images.flat);
}

/// Different samples among those of the training set that pairs name first.
std::vector<std::int64_t> first_of_pairs(const std::vector<FoundPair>& pairs) {
  std::vector<std::int64_t> samples;
  for (const auto& pair : pairs)
    if (samples.empty() || samples.back() != pair.a) samples.push_back(pair.a);
  return samples;
}

bool by_embedding(const Config& config) {
  return !config.neighbours.embeddings.empty();
}

void check_ways(const Config& config) {
  if (!config.neighbours.pixels && !by_embedding(config))
    throw ConfigError(
        {"neighbours.pixels is false and neighbours.embeddings is not given: expected at least one "
         "way to compare images"});
}

/// " (N by pixels, M by embedding)", where both were asked.
std::string ways_text(const std::vector<FoundPair>& pairs, const Config& config) {
  if (!config.neighbours.pixels || !by_embedding(config)) return {};
  const auto pixels = std::ranges::count_if(pairs, &FoundPair::by_pixels);
  const auto embedding = std::ranges::count_if(pairs, &FoundPair::by_embedding);
  return fmt::format(" ({} by pixels, {} by embedding)", pixels, embedding);
}

/// The least similarity or cosine that the index set names.
double threshold_of(const Config& config, const PairSearch& options) {
  return config.neighbours.pixels ? options.least_similarity : config.neighbours.options.across;
}

/// Opens files on every rank. Collective.
template <class Open>
auto open_together(const Open& open, Runtime& runtime) {
  std::optional<decltype(open())> opened;
  dist::together<std::runtime_error>(runtime.control(), [&] { opened.emplace(open()); });
  return std::move(*opened);
}

std::vector<eval::NeighbourPair> near_inside(const Dataset& dataset, const Config& config,
                                             Runtime& runtime) {
  const EmbeddedData data = open_together(
      [&] { return open_embeddings(config.neighbours.embeddings, dataset, "data.train"); },
      runtime);
  const eval::Neighbours found = search_inside(data.set(), config, runtime);
  spdlog::info("dedup: {} images are unlike the rest of their identity", found.strays);
  if (!found.identities.empty())
    spdlog::info(
        "dedup: {} pairs of identities have centres with a cosine of at least {:g}, the nearest "
        "{:.4f}",
        found.identities.size(), config.neighbours.options.centre,
        std::ranges::max_element(found.identities, {}, &eval::IdentityPair::cosine)->cosine);
  return found.pairs;
}

/// Files of embeddings of the test sets, one per set.
std::vector<std::shared_ptr<EmbeddingRows>> open_test_embeddings(const Config& config,
                                                                 const EmbeddingRows& ours) {
  std::vector<std::shared_ptr<EmbeddingRows>> files;
  for (const std::string& path : config.neighbours.other_embeddings) {
    files.push_back(std::make_shared<EmbeddingRows>(path));
    check_same_network(ours, *files.back());
  }
  return files;
}

std::vector<eval::NeighbourPair> near_tests(const Dataset& dataset, const TestImages& tests,
                                            const Config& config, Runtime& runtime) {
  const auto [data, test_set] = open_together(
      [&] {
        EmbeddedData ours = open_embeddings(config.neighbours.embeddings, dataset, "data.train");
        eval::EmbeddedSet theirs = join_as_images(
            "test sets", open_test_embeddings(config, *ours.rows), tests.rows_of_sets());
        return std::pair(std::move(ours), std::move(theirs));
      },
      runtime);
  auto pairs = search_between(data.set(), test_set, config, runtime).pairs;
  // Rows of one image, which is in several pairs of a set, have the same embedding.
  for (eval::NeighbourPair& pair : pairs) pair.b = tests.image_of_row(pair.b);
  std::ranges::sort(pairs);
  const auto rest = std::ranges::unique(
      pairs, [](const auto& x, const auto& y) { return x.a == y.a && x.b == y.b; });
  pairs.erase(rest.begin(), rest.end());
  return pairs;
}

}  // namespace

void dedup_command(const Config& config, Runtime& runtime) {
  check_ways(config);
  const FolderLock lock = make_output_folder(config, runtime);
  const double start = steady_seconds();
  const Dataset dataset = open_training_set(config, runtime);
  const ImageSource source = source_of(dataset);
  const PairSearch options = search_of(config);
  HashedImages images;
  std::vector<ImagePair> alike;
  if (config.neighbours.pixels) {
    images = hash_images(source, options.threads, runtime);
    alike = find_pairs(source, images, options, runtime);
  }
  const auto near = by_embedding(config) ? near_inside(dataset, config, runtime)
                                         : std::vector<eval::NeighbourPair>();
  dist::together<std::runtime_error>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    warn_about_images(images, "dedup");
    const auto pairs = found_pairs(alike, near);
    const std::string csv = config.output + "/duplicates.csv";
    const std::string rest = config.output + "/without_duplicates.h5";
    write_duplicate_pairs(csv, pairs, *dataset);
    const auto across = std::ranges::count_if(pairs, [&](const FoundPair& pair) {
      return dataset->label(pair.a) != dataset->label(pair.b);
    });
    const Dropped copies{all_but_first(pairs, dataset->size()), prune::Reason::kDuplicate};
    const std::int64_t kept =
        write_rest(rest, {{images.unreadable, prune::Reason::kUnreadable}, copies}, "dedup",
                   threshold_of(config, options), *dataset);
    spdlog::info(
        "dedup: {} images, {} unreadable: {} pairs inside an identity, {} across identities{}; {} "
        "copies dropped, {} images kept, in {}; {} and {}",
        dataset->size(), images.unreadable.size(), static_cast<std::int64_t>(pairs.size()) - across,
        across, ways_text(pairs, config), copies.samples.size(), kept,
        format_duration(steady_seconds() - start), csv, rest);
  });
}

void leaks_command(const Config& config, Runtime& runtime) {
  check_ways(config);
  const FolderLock lock = make_output_folder(config, runtime);
  const double start = steady_seconds();
  const Dataset dataset = open_training_set(config, runtime);
  const TestImages tests(config, runtime);
  const ImageSource source = source_of(dataset);
  const ImageSource test_source = tests.source();
  const PairSearch options = search_of(config);
  HashedImages images, test_images;
  std::vector<ImagePair> alike;
  if (config.neighbours.pixels) {
    test_images = hash_images(test_source, options.threads, runtime);
    images = hash_images(source, options.threads, runtime);
    alike = find_pairs_between(source, images, test_source, test_images, options, runtime);
  }
  const auto near = by_embedding(config) ? near_tests(dataset, tests, config, runtime)
                                         : std::vector<eval::NeighbourPair>();
  dist::together<std::runtime_error>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    warn_about_images(images, "leaks, training set");
    warn_about_images(test_images, "leaks, test sets");
    const auto pairs = found_pairs(alike, near);
    const std::string csv = config.output + "/leaks.csv";
    const std::string rest = config.output + "/without_leaks.h5";
    write_leak_pairs(csv, pairs, *dataset,
                     [&](std::int64_t index) { return tests.describe(index); });
    const Dropped leaked{first_of_pairs(pairs), prune::Reason::kLeak};
    const std::int64_t kept =
        write_rest(rest, {{images.unreadable, prune::Reason::kUnreadable}, leaked}, "leaks",
                   threshold_of(config, options), *dataset);
    spdlog::info(
        "leaks: {} training images, {} unreadable, and {} different test images of {} sets, {} "
        "unreadable: {} pairs{}; {} training images dropped, {} kept, in {}; {} and {}",
        dataset->size(), images.unreadable.size(), tests.size(), tests.sets(),
        test_images.unreadable.size(), pairs.size(), ways_text(pairs, config),
        leaked.samples.size(), kept, format_duration(steady_seconds() - start), csv, rest);
  });
}

void check_duplicate_inputs(const std::string& command, const Config& config) {
  check_ways(config);
  if (command == "data dedup") {
    if (by_embedding(config)) (void)EmbeddingRows(config.neighbours.embeddings);
    return;
  }
  if (config.eval.sets.empty() && config.eval.ijb.empty())
    throw ConfigError(
        {"eval.sets: expected the .bin sets that the training set is compared with, "
         "for example --eval.sets=lfw.bin,cfp_fp.bin, or eval.ijb=FOLDER"});
  check_test_sets(config);
  if (!by_embedding(config)) return;
  const std::size_t sets = config.eval.sets.size() + config.eval.ijb.size();
  if (config.neighbours.other_embeddings.size() != sets)
    throw ConfigError({fmt::format(
        "neighbours.other_embeddings: expected one file for each of the {} sets of eval.sets and "
        "eval.ijb, got {} (diffprob embed --data.train=lfw.bin makes that of a .bin)",
        sets, config.neighbours.other_embeddings.size())});
  (void)open_test_embeddings(config, EmbeddingRows(config.neighbours.embeddings));
}

}  // namespace diffprob::launch
