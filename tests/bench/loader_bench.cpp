// Images a second of the loader with 1 and 2 threads, beside bare TurboJPEG on the same images
// already in memory, and the memory of an index:
//   loader_bench DATASET [BATCH] [REPEATS] [INDEX_ENTRIES]
// Prints JSON. Bare and loaded passes alternate; the median of the repeats counts. Two bare threads
// are two halves of the images. rates: by the clock on the wall. rates_per_core: images a second of
// processor time, which other programs on the machine disturb less. INDEX_ENTRIES (5,000,000; 0:
// leave out): records of a synthetic .rec with .idx, made in the temporary folder and removed (36
// bytes each).
#include <sys/resource.h>
#include <turbojpeg.h>
#include <unistd.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/loading/loader.h"
#include "data/loading/weighted_sampler.h"
#include "data/open_dataset.h"
#include "launch/job/host_allocator.h"

namespace {

using diffprob::data::Batch;
using diffprob::data::Dataset;
using diffprob::data::DecodedCache;
using diffprob::data::Loader;
using diffprob::data::LoaderOptions;
using diffprob::data::ShuffledPlan;
using Images = std::vector<std::vector<std::byte>>;

constexpr int kSide = 112;
constexpr std::size_t kImageBytes = std::size_t{kSide} * kSide * 3;

struct Setting {
  std::shared_ptr<const Dataset> dataset;
  Images images;
  std::int64_t batch = 256;
};

/// Of one pass, or of one image.
struct Cost {
  double wall;
  double processor;
};

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// `work` says how many images it did.
Cost cost_an_image(const std::function<std::int64_t()>& work) {
  std::int64_t images = 0;
  const double processor = processor_seconds();
  const double wall = seconds([&] { images = work(); });
  return {wall / static_cast<double>(images),
          (processor_seconds() - processor) / static_cast<double>(images)};
}

/// Decodes images [begin, end) into one batch of memory, over and over.
void decode_bare(const Setting& setting, std::size_t begin, std::size_t end) {
  const tjhandle turbo = tjInitDecompress();
  std::vector<std::uint8_t> memory(static_cast<std::size_t>(setting.batch) * kImageBytes);
  for (std::size_t i = begin; i < end; ++i) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(setting.images[i].data());
    const auto size = setting.images[i].size();
    int width = 0, height = 0, sampling = 0, colours = 0;
    std::uint8_t* const out =
        memory.data() + (i % static_cast<std::size_t>(setting.batch)) * kImageBytes;
    if (tjDecompressHeader3(turbo, bytes, size, &width, &height, &sampling, &colours) != 0 ||
        width != kSide || height != kSide ||
        tjDecompress2(turbo, bytes, size, out, kSide, 0, kSide, TJPF_RGB, TJFLAG_ACCURATEDCT) !=
            0) {
      std::fprintf(stderr, "image %zu: a whole JPEG of %d x %d was expected\n", i, kSide, kSide);
      std::exit(1);
    }
  }
  tjDestroy(turbo);
}

std::int64_t run_bare(const Setting& setting, int threads) {
  std::vector<std::jthread> workers;
  const auto count = static_cast<std::size_t>(threads);
  for (std::size_t i = 0; i < count; ++i) {
    workers.emplace_back([&setting, i, count] {
      decode_bare(setting, setting.images.size() * i / count,
                  setting.images.size() * (i + 1) / count);
    });
  }
  workers.clear();  // joins
  return static_cast<std::int64_t>(setting.images.size());
}

/// Images delivered by one epoch.
std::int64_t run_loader(const Setting& setting, const LoaderOptions& options, std::int64_t epoch) {
  Loader loader(
      setting.dataset,
      std::make_shared<ShuffledPlan>(setting.dataset->size(), setting.batch, 1, epoch, 0, 1),
      options);
  std::int64_t images = 0;
  for (Batch batch; loader.next(batch);) images += batch.images.size(0);
  return images;
}

double median(const std::vector<Cost>& costs, double Cost::*kind) {
  std::vector<double> values;
  for (const Cost& cost : costs) values.push_back(cost.*kind);
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// What the loader is asked to do beside decoding.
std::map<std::string, LoaderOptions> loader_kinds(const Setting& setting) {
  std::map<std::string, LoaderOptions> kinds;
  kinds["loader"].flip = false;
  kinds["loader_flip"].flip = true;
  kinds["loader_flip_adaface"].flip = true;
  kinds["loader_flip_adaface"].augment = diffprob::data::adaface_augmentation();
  kinds["loader_flip_cached"].flip = true;  // the warm-up pass fills the cache
  kinds["loader_flip_cached"].cache =
      std::make_shared<DecodedCache>(setting.dataset->size(), kSide);
  return kinds;
}

nlohmann::json measure(const Setting& setting, int repeats) {
  const auto kinds = loader_kinds(setting);
  std::map<std::string, std::vector<Cost>> costs;
  for (int pass = 0; pass < 2 * (repeats + 1); ++pass) {
    const int threads = pass % 2 + 1;
    const bool warm_up = pass < 2;
    const std::string suffix = threads == 1 ? "_1_thread" : "_2_threads";
    const Cost bare = cost_an_image([&] { return run_bare(setting, threads); });
    if (!warm_up) costs["turbojpeg" + suffix].push_back(bare);
    for (auto [name, options] : kinds) {
      options.decode_threads = threads;
      const Cost loaded =
          cost_an_image([&, wanted = options] { return run_loader(setting, wanted, 0); });
      if (!warm_up) costs[name + suffix].push_back(loaded);
    }
  }
  nlohmann::json report;
  for (const auto& [name, values] : costs) {
    const auto& bare =
        costs["turbojpeg" + name.substr(name.find(name.ends_with("1_thread") ? "_1_" : "_2_"))];
    report["rates"][name] = 1.0 / median(values, &Cost::wall);
    report["rates_per_core"][name] = 1.0 / median(values, &Cost::processor);
    report["of_turbojpeg"][name] = median(bare, &Cost::wall) / median(values, &Cost::wall);
    report["of_turbojpeg_per_core"][name] =
        median(bare, &Cost::processor) / median(values, &Cost::processor);
  }
  return report;
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

std::int64_t peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

/// Whole records with images of four bytes, 50 a class.
void write_index(const std::filesystem::path& stem, std::int64_t entries) {
  std::ofstream rec(stem.string() + ".rec", std::ios::binary);
  std::ofstream idx(stem.string() + ".idx", std::ios::binary);
  struct {
    std::uint32_t magic = 0xCED7230A, length = 28, flag = 0;
    float label = 0.0f;
    std::uint32_t ids[4] = {}, image = 0;
  } record;
  static_assert(sizeof(record) == 36);
  for (std::int64_t i = 0; i < entries; ++i) {
    record.label = static_cast<float>(i / 50);
    record.ids[0] = static_cast<std::uint32_t>(i);
    rec.write(reinterpret_cast<const char*>(&record), sizeof(record));
    idx << i << '\t' << i * static_cast<std::int64_t>(sizeof(record)) << '\n';
  }
  if (!rec.flush() || !idx.flush()) throw std::runtime_error(stem.string() + ": cannot be written");
}

/// Growth of the resident memory by what `make` returns, in bytes a sample.
template <typename Make>
double growth(std::int64_t samples, const Make& make, decltype(make())& kept) {
  const auto before = resident_bytes();
  kept = make();
  return static_cast<double>(resident_bytes() - before) / static_cast<double>(samples);
}

nlohmann::json measure_index(const std::filesystem::path& folder, std::int64_t entries) {
  write_index(folder / "train", entries);
  const auto start_bytes = resident_bytes();
  nlohmann::json report{{"entries", entries}};
  std::shared_ptr<const Dataset> dataset;
  report["open_seconds"] = seconds([&] {
    report["dataset"] = growth(
        entries, [&] { return diffprob::data::open_dataset(folder.string()); }, dataset);
  });
  report["peak_while_opening"] =
      static_cast<double>(peak_bytes() - start_bytes) / static_cast<double>(entries);
  std::unique_ptr<Loader> loader;
  LoaderOptions options;
  options.decode_threads = 0;  // no batches yet: they do not grow with the set
  const auto make_loader = [&] {
    return std::make_unique<Loader>(
        dataset, std::make_shared<ShuffledPlan>(entries, 256, 1, 0, 0, 1), options);
  };
  report["loader_and_plan"] = growth(entries, make_loader, loader);
  report["dataset_and_loader"] =
      static_cast<double>(resident_bytes() - start_bytes) / static_cast<double>(entries);
  std::shared_ptr<diffprob::data::ClassIndex> classes;
  report["class_balanced_sampling"] = growth(
      entries, [&] { return std::make_shared<diffprob::data::ClassIndex>(*dataset); }, classes);
  std::shared_ptr<diffprob::data::Subset> subset;
  const auto make_subset = [&] {
    std::vector<std::int64_t> all(static_cast<std::size_t>(entries));
    for (std::int64_t i = 0; i < entries; ++i) all[static_cast<std::size_t>(i)] = i;
    return std::make_shared<diffprob::data::Subset>(dataset, std::move(all),
                                                    std::vector<std::int64_t>{});
  };
  report["subset_of_all"] = growth(entries, make_subset, subset);
  report["unit"] = "resident bytes an entry";
  return report;
}

/// Removed at the end.
struct ScratchFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("loader_bench_" + std::to_string(::getpid()));
  ScratchFolder() { std::filesystem::create_directories(path); }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
};

}  // namespace

int main(int argc, char** argv) {
  diffprob::launch::install_host_allocator();
  if (argc < 2) {
    std::fprintf(stderr, "usage: loader_bench DATASET [BATCH] [REPEATS] [INDEX_ENTRIES]\n");
    return 2;
  }
  const auto argument = [&](int i, std::int64_t otherwise, std::int64_t least) {
    return argc > i ? std::max<std::int64_t>(least, std::atoll(argv[i])) : otherwise;
  };
  const auto repeats = static_cast<int>(argument(3, 5, 1));
  const auto entries = argument(4, 5'000'000, 0);
  nlohmann::json report{{"benchmark", "loader"}, {"dataset", argv[1]},
                        {"device", "cpu"},       {"cores", std::thread::hardware_concurrency()},
                        {"world_size", 1},       {"warm_up_passes", 1},
                        {"repeats", repeats},    {"unit", "images/s"}};
  try {
    if (entries > 0) report["index_memory"] = measure_index(ScratchFolder().path, entries);
    Setting setting;
    setting.dataset = diffprob::data::open_dataset(argv[1]);
    setting.batch = std::min(argument(2, 256, 1), setting.dataset->size());
    setting.images.resize(static_cast<std::size_t>(setting.dataset->size()));
    for (std::int64_t i = 0; i < setting.dataset->size(); ++i)
      setting.dataset->read(i, setting.images[static_cast<std::size_t>(i)]);
    report["images"] = setting.dataset->size();
    report["batch"] = setting.batch;
    report.update(measure(setting, repeats));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "loader_bench: %s\n", error.what());
    return 1;
  }
  std::printf("%s\n", report.dump(2).c_str());
  return 0;
}
