// Images a second of the loader with 1 and 2 threads, beside bare TurboJPEG on the same images already in memory:
//   loader_bench DATASET [BATCH] [REPEATS]
// Prints JSON. Bare and loaded passes alternate; the median of the repeats counts. Two bare threads are two halves of the images.
#include <turbojpeg.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/loader.h"

namespace {

using diffprob::data::Batch;
using diffprob::data::Dataset;
using diffprob::data::Loader;
using diffprob::data::LoaderOptions;
using diffprob::data::SequentialPlan;
using Images = std::vector<std::vector<std::byte>>;

constexpr int kSide = 112;
constexpr std::size_t kImageBytes = std::size_t{kSide} * kSide * 3;

struct Setting {
  std::shared_ptr<const Dataset> dataset;
  Images images;
  std::int64_t batch = 256;
};

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Decodes images [begin, end) into one batch of memory, over and over.
void decode_bare(const Setting& setting, std::size_t begin, std::size_t end) {
  const tjhandle turbo = tjInitDecompress();
  std::vector<std::uint8_t> memory(static_cast<std::size_t>(setting.batch) * kImageBytes);
  for (std::size_t i = begin; i < end; ++i) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(setting.images[i].data());
    const auto size = setting.images[i].size();
    int width = 0, height = 0, sampling = 0, colours = 0;
    std::uint8_t* const out = memory.data() + (i % static_cast<std::size_t>(setting.batch)) * kImageBytes;
    if (tjDecompressHeader3(turbo, bytes, size, &width, &height, &sampling, &colours) != 0 || width != kSide || height != kSide ||
        tjDecompress2(turbo, bytes, size, out, kSide, 0, kSide, TJPF_RGB, TJFLAG_ACCURATEDCT) != 0) {
      std::fprintf(stderr, "image %zu: a whole JPEG of %d x %d was expected\n", i, kSide, kSide);
      std::exit(1);
    }
  }
  tjDestroy(turbo);
}

void run_bare(const Setting& setting, int threads) {
  std::vector<std::jthread> workers;
  const auto count = static_cast<std::size_t>(threads);
  for (std::size_t i = 0; i < count; ++i) {
    workers.emplace_back(
        [&setting, i, count] { decode_bare(setting, setting.images.size() * i / count, setting.images.size() * (i + 1) / count); });
  }
}

void run_loader(const Setting& setting, int threads) {
  LoaderOptions options;
  options.decode_threads = threads;
  Loader loader(setting.dataset, std::make_shared<SequentialPlan>(setting.dataset->size(), setting.batch, 0, 1), options);
  Batch batch;
  while (loader.next(batch)) {
  }
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

nlohmann::json measure(const Setting& setting, int repeats) {
  std::map<std::string, std::vector<double>> times;
  for (int repeat = 0; repeat <= repeats; ++repeat) {  // the first one warms up
    for (const int threads : {1, 2}) {
      const std::string suffix = "_" + std::to_string(threads) + (threads == 1 ? "_thread" : "_threads");
      const double bare = seconds([&] { run_bare(setting, threads); });
      const double loaded = seconds([&] { run_loader(setting, threads); });
      if (repeat == 0) continue;
      times["turbojpeg" + suffix].push_back(bare);
      times["loader" + suffix].push_back(loaded);
    }
  }
  nlohmann::json rates;
  for (const auto& [name, values] : times) rates[name] = static_cast<double>(setting.dataset->size()) / median(values);
  return rates;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: loader_bench DATASET [BATCH] [REPEATS]\n");
    return 2;
  }
  Setting setting;
  setting.dataset = diffprob::data::open_dataset(argv[1]);
  setting.batch = argc > 2 ? std::max(1, std::atoi(argv[2])) : 256;
  const int repeats = argc > 3 ? std::max(1, std::atoi(argv[3])) : 5;
  setting.images.resize(static_cast<std::size_t>(setting.dataset->size()));
  for (std::int64_t i = 0; i < setting.dataset->size(); ++i) setting.dataset->read(i, setting.images[static_cast<std::size_t>(i)]);

  nlohmann::json report{{"benchmark", "loader"},  {"dataset", argv[1]}, {"images", setting.dataset->size()},
                        {"batch", setting.batch}, {"device", "cpu"},    {"cores", std::thread::hardware_concurrency()},
                        {"world_size", 1},        {"warm_up", 1},       {"repeats", repeats},
                        {"unit", "images/s"}};
  report["rates"] = measure(setting, repeats);
  std::printf("%s\n", report.dump(2).c_str());
  return 0;
}
