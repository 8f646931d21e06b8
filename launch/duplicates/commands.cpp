#include "launch/duplicates/commands.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_set>

#include "data/sets/set_names.h"
#include "data/sets/verification_set.h"
#include "dist/mpi/agreement.h"
#include "launch/duplicates/find_pairs.h"
#include "launch/duplicates/hashed_images.h"
#include "launch/duplicates/pair_files.h"
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

/// Images of .bin sets, each once: most of them are in many pairs.
struct TestImages {
  std::vector<data::VerificationSet> sets;
  struct Place {
    std::size_t set;
    std::size_t image;
  };
  std::vector<Place> places;

  [[nodiscard]] const std::vector<std::byte>& bytes(std::int64_t index) const {
    const Place& place = places[static_cast<std::size_t>(index)];
    return sets[place.set].images[place.image];
  }
  [[nodiscard]] std::string describe(std::int64_t index) const {
    const Place& place = places[static_cast<std::size_t>(index)];
    return fmt::format("{} image {} (pair {})", sets[place.set].name, place.image, place.image / 2);
  }
};

std::shared_ptr<const TestImages> read_test_images(const Config& config) {
  auto images = std::make_shared<TestImages>();
  const std::vector<std::string> names = data::set_names(config.eval.sets);
  for (std::size_t i = 0; i < names.size(); ++i) {
    images->sets.push_back(data::read_verification_bin(config.eval.sets[i]));
    images->sets.back().name = names[i];
  }
  std::unordered_set<std::string_view> seen;
  for (std::size_t s = 0; s < images->sets.size(); ++s)
    for (std::size_t i = 0; i < images->sets[s].images.size(); ++i) {
      const auto& bytes = images->sets[s].images[i];
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (seen.insert(text).second) images->places.push_back({s, i});
    }
  return images;
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
std::vector<std::int64_t> first_of_pairs(const std::vector<ImagePair>& pairs) {
  std::vector<std::int64_t> samples;
  for (const auto& pair : pairs)
    if (samples.empty() || samples.back() != pair.a) samples.push_back(pair.a);
  return samples;
}

}  // namespace

void dedup_command(const Config& config, Runtime& runtime) {
  const FolderLock lock = make_output_folder(config, runtime);
  const double start = steady_seconds();
  const Dataset dataset = open_training_set(config, runtime);
  const ImageSource source = source_of(dataset);
  const PairSearch options = search_of(config);
  const HashedImages images = hash_images(source, options.threads, runtime);
  const auto pairs = find_pairs(source, images, options, runtime);
  dist::together<std::runtime_error>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    warn_about_images(images, "dedup");
    const std::string csv = config.output + "/duplicates.csv";
    const std::string rest = config.output + "/without_duplicates.h5";
    write_duplicate_pairs(csv, pairs, *dataset);
    const auto across = std::ranges::count_if(pairs, [&](const ImagePair& pair) {
      return dataset->label(pair.a) != dataset->label(pair.b);
    });
    const Dropped copies{all_but_first(pairs, dataset->size()), prune::Reason::kDuplicate};
    const std::int64_t kept =
        write_rest(rest, {{images.unreadable, prune::Reason::kUnreadable}, copies}, "dedup",
                   options.least_similarity, *dataset);
    spdlog::info(
        "dedup: {} images, {} unreadable: {} pairs inside an identity, {} across identities; {} "
        "copies dropped, {} images kept, in {}; {} and {}",
        dataset->size(), images.unreadable.size(), static_cast<std::int64_t>(pairs.size()) - across,
        across, copies.samples.size(), kept, format_duration(steady_seconds() - start), csv, rest);
  });
}

void leaks_command(const Config& config, Runtime& runtime) {
  const FolderLock lock = make_output_folder(config, runtime);
  const double start = steady_seconds();
  const Dataset dataset = open_training_set(config, runtime);
  std::shared_ptr<const TestImages> tests;
  dist::together<std::runtime_error>(runtime.control(), [&] { tests = read_test_images(config); });
  const ImageSource source = source_of(dataset);
  const ImageSource test_source = {
      "test images", static_cast<std::int64_t>(tests->places.size()),
      [tests](std::int64_t index, std::vector<std::byte>& bytes) { bytes = tests->bytes(index); }};
  const PairSearch options = search_of(config);
  const HashedImages test_images = hash_images(test_source, options.threads, runtime);
  const HashedImages images = hash_images(source, options.threads, runtime);
  const auto pairs = find_pairs_between(source, images, test_source, test_images, options, runtime);
  dist::together<std::runtime_error>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    warn_about_images(images, "leaks, training set");
    warn_about_images(test_images, "leaks, test sets");
    const std::string csv = config.output + "/leaks.csv";
    const std::string rest = config.output + "/without_leaks.h5";
    write_leak_pairs(csv, pairs, *dataset,
                     [&](std::int64_t index) { return tests->describe(index); });
    const Dropped leaked{first_of_pairs(pairs), prune::Reason::kLeak};
    const std::int64_t kept =
        write_rest(rest, {{images.unreadable, prune::Reason::kUnreadable}, leaked}, "leaks",
                   options.least_similarity, *dataset);
    spdlog::info(
        "leaks: {} training images, {} unreadable, and {} different test images of {} sets, {} "
        "unreadable: {} pairs; {} training images dropped, {} kept, in {}; {} and {}",
        dataset->size(), images.unreadable.size(), test_source.size, tests->sets.size(),
        test_images.unreadable.size(), pairs.size(), leaked.samples.size(), kept,
        format_duration(steady_seconds() - start), csv, rest);
  });
}

void check_leak_sets(const Config& config) {
  if (config.eval.sets.empty())
    throw ConfigError(
        {"eval.sets: expected the .bin sets that the training set is compared with, "
         "for example --eval.sets=lfw.bin,cfp_fp.bin"});
  (void)read_test_images(config);
}

}  // namespace diffprob::launch
