// What the whole score record costs beside a pass that computes the probability of the own label
// alone: a backbone in evaluation mode and the head, turn by turn.
//   score_bench [NETWORK] [B] [ROUNDS] [C ...]      iresnet18, 512, 3 and 10572 100000; D = 512,
//   one process, one thread
// Prints a JSON line a C with the smallest processor times of a global batch, milliseconds:
// "backbone_ms", "probability_ms" (head alone, the product and a softmax over normalised centres),
// "record_ms" (ShardedHead::score) and "copy_ms" (its columns into records on the host).
// "slower_percent": (backbone + record + copy) / (backbone + probability) - 1. "difference": of the
// probabilities.
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "dist/mpi/environment.h"
#include "model/head/sharded_head.h"
#include "model/inference/face_embedder.h"
#include "model/networks/backbone.h"

namespace {

using namespace diffprob;
constexpr std::int64_t kDim = 512;

template <class Work>
void time_into(double& smallest, Work&& work) {
  const std::clock_t begin = std::clock();
  work();
  smallest =
      std::min(smallest, 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
}

/// p of the own label without margin, as little work as there can be: [B, D] x [D, C], one softmax.
class ProbabilityOnly {
 public:
  ProbabilityOnly(const at::Tensor& weight, double scale)
      : centres_(weight / at::linalg_vector_norm(weight, 2, at::IntArrayRef{1}, true)),
        scale_(scale) {}
  [[nodiscard]] at::Tensor operator()(const at::Tensor& embeddings,
                                      const at::Tensor& labels) const {
    const at::Tensor x =
        embeddings / at::linalg_vector_norm(embeddings, 2, at::IntArrayRef{1}, true);
    at::Tensor logits = at::mm(x.mul(scale_), centres_.t());
    const at::Tensor own = logits.gather(1, labels.unsqueeze(1));
    const at::Tensor largest = logits.amax(1, true);
    return (own - largest).exp_().squeeze(1) / logits.sub_(largest).exp_().sum(1);
  }

 private:
  at::Tensor centres_;
  double scale_;
};

/// The columns of a batch on the host, row by row, as the scoring pass takes them.
double copy_rows(const model::HeadScores& scores) {
  std::vector<float> rows;
  const std::vector<at::Tensor> columns = {
      scores.nll,           scores.probability,     scores.top1.to(at::kFloat),
      scores.top1_log_prob, scores.second_log_prob, scores.sum_p2,
      scores.entropy,       scores.cosine,          scores.norm};
  for (std::int64_t i = 0; i < scores.nll.numel(); ++i) {
    for (const auto& column : columns) rows.push_back(column.const_data_ptr<float>()[i]);
  }
  return rows.empty() ? 0 : static_cast<double>(rows.back());
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  const std::string name = argc > 1 ? argv[1] : "iresnet18";
  const std::int64_t rows = argc > 2 ? std::atoll(argv[2]) : 512;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  std::vector<std::int64_t> classes;
  for (int i = 4; i < argc; ++i) classes.push_back(std::atoll(argv[i]));
  if (classes.empty()) classes = {10572, 100000};
  at::set_num_threads(1);
  const at::NoGradGuard no_grad;
  const auto communicator = dist::make_mpi_communicator();
  const auto backbone = model::make_backbone({.name = name});
  const model::FaceEmbedder embedder(*backbone, at::kCPU);
  const at::Tensor images = at::randint(0, 256, {rows, 112, 112, 3}, at::kByte);
  const double none = std::numeric_limits<double>::max();
  double backbone_ms = none;
  for (int round = 0; round < rounds; ++round)
    time_into(backbone_ms, [&] { (void)embedder.embed(images); });
  for (const auto count : classes) {
    model::HeadOptions options;
    options.num_classes = count;
    model::ShardedHead head(options, *communicator);
    const model::MarginOptions margin{.kind = model::MarginKind::kNone};
    const ProbabilityOnly probability_only(head.weight(), margin.scale);
    const at::Tensor labels = at::randint(count, {rows}, at::kLong);
    const at::Tensor embeddings =
        at::randn({rows, kDim}) + head.weight().index_select(0, labels) * 30;
    double probability_ms = none, record_ms = none, copy_ms = none, last = 0;
    at::Tensor probability;
    model::HeadScores scores;
    for (int round = 0; round <= rounds; ++round) {
      time_into(probability_ms, [&] { probability = probability_only(embeddings, labels); });
      time_into(record_ms, [&] { scores = head.score(embeddings, labels, {rows}, margin); });
      time_into(copy_ms, [&] { last += copy_rows(scores); });
    }
    std::printf(
        "{\"bench\":\"score\",\"device\":\"cpu\",\"network\":\"%s\",\"B\":%lld,\"C\":%lld,\"D\":%"
        "lld,\"rounds\":%d,\"backbone_ms\":%.1f,"
        "\"probability_ms\":%.1f,\"record_ms\":%.1f,\"copy_ms\":%.2f,\"slower_percent\":%.2f,"
        "\"difference\":%.2g}\n",
        name.c_str(), static_cast<long long>(rows), static_cast<long long>(count),
        static_cast<long long>(kDim), rounds, backbone_ms, probability_ms, record_ms, copy_ms,
        100 * ((backbone_ms + record_ms + copy_ms) / (backbone_ms + probability_ms) - 1),
        (probability - scores.probability).abs().max().item<double>());
    std::fflush(stdout);
    if (last == -1) return 1;  // keeps the copies alive
  }
  return 0;
}
