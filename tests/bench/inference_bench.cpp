// Evaluation of a backbone, images a second of processor time: Backbone::forward beside the inference network, turn by turn.
//   inference_bench [NETWORK] [BATCH] [ROUNDS]
// Prints JSON: medians of both, their ratio, and the largest difference of an embedding against the largest embedding.
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "model/backbone.h"
#include "model/inference_network.h"
#include "model/normalize.h"

namespace {

template <class Work>
double images_per_second(std::int64_t images, Work&& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(images) * CLOCKS_PER_SEC / static_cast<double>(std::clock() - begin);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "iresnet18";
  const std::int64_t batch = argc > 2 ? std::atoll(argv[2]) : 64;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  at::set_num_threads(1);
  const at::NoGradGuard no_grad;
  const auto backbone = diffprob::model::make_backbone({.name = name});
  backbone->eval();
  const diffprob::model::InferenceNetwork network(*backbone);
  const at::Tensor images = at::randint(0, 256, {batch, 112, 112, 3}, at::kByte);
  at::Tensor plain = backbone->forward(diffprob::model::normalize_faces(images, at::kCPU)), fast = network(images);
  std::vector<double> plain_rates, fast_rates;
  for (int round = 0; round < rounds; ++round) {
    plain_rates.push_back(images_per_second(batch, [&] { plain = backbone->forward(diffprob::model::normalize_faces(images, at::kCPU)); }));
    fast_rates.push_back(images_per_second(batch, [&] { fast = network(images); }));
  }
  const double error = ((plain - fast).abs().max() / plain.abs().max()).item<double>();
  std::printf("{\"network\": \"%s\", \"batch\": %lld, \"plain\": %.2f, \"inference\": %.2f, \"ratio\": %.3f, \"difference\": %.3g}\n",
              name.c_str(), static_cast<long long>(batch), median(plain_rates), median(fast_rates),
              median(fast_rates) / median(plain_rates), error);
  return 0;
}
