// Evaluation of a backbone, images a second of processor time and of the clock: Backbone::forward
// beside FaceEmbedder, turn by turn.
//   inference_bench [NETWORK] [BATCH] [ROUNDS] [THREADS]
// Prints JSON: medians of both, their ratio, and the largest difference of an embedding against the
// largest embedding.
#include <chrono>
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "model/inference/face_embedder.h"
#include "model/input/normalize.h"
#include "model/networks/backbone.h"

namespace {

/// Images a second.
struct Rates {
  std::vector<double> processor, clock;
  template <class Work>
  void add(std::int64_t images, Work&& work) {
    const std::clock_t begin = std::clock();
    const auto start = std::chrono::steady_clock::now();
    work();
    processor.push_back(static_cast<double>(images) * CLOCKS_PER_SEC /
                        static_cast<double>(std::clock() - begin));
    clock.push_back(
        static_cast<double>(images) /
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "iresnet18";
  const std::int64_t batch = argc > 2 ? std::atoll(argv[2]) : 64;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  const int threads = argc > 4 ? std::atoi(argv[4]) : 1;
  at::set_num_threads(threads);
  const at::NoGradGuard no_grad;
  const auto backbone = diffprob::model::make_backbone({.name = name});
  const diffprob::model::FaceEmbedder embedder(*backbone, at::kCPU);
  const at::Tensor images = at::randint(0, 256, {batch, 112, 112, 3}, at::kByte);
  at::Tensor plain = backbone->forward(diffprob::model::normalize_faces(images, at::kCPU)),
             fast = embedder.embed(images);
  Rates plain_rates, fast_rates;
  for (int round = 0; round < rounds; ++round) {
    plain_rates.add(batch, [&] {
      plain = backbone->forward(diffprob::model::normalize_faces(images, at::kCPU));
    });
    fast_rates.add(batch, [&] { fast = embedder.embed(images); });
  }
  const double error = ((plain - fast).abs().max() / plain.abs().max()).item<double>();
  std::printf(
      "{\"network\": \"%s\", \"batch\": %lld, \"threads\": %d, \"plain\": %.2f, \"embedder\": "
      "%.2f, \"ratio\": %.3f, "
      "\"plain_clock\": %.2f, \"embedder_clock\": %.2f, \"difference\": %.3g}\n",
      name.c_str(), static_cast<long long>(batch), threads, median(plain_rates.processor),
      median(fast_rates.processor), median(fast_rates.processor) / median(plain_rates.processor),
      median(plain_rates.clock), median(fast_rates.clock), error);
  return 0;
}
