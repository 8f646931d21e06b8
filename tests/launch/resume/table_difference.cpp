// table_difference A B: largest difference of two score files or of two files of training dynamics,
// for the tests with the whole program. Prints "probability DIFFERENCE others DIFFERENCE exact
// DIFFERING_ROWS": of probabilities (all that lie in 0 to 1), of other real numbers relative to
// max(1, |value|), and rows whose whole numbers differ. Exit code 1 when they are not of the same
// samples.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>

#include "prune/tables/dynamics.h"
#include "prune/tables/score_table.h"

namespace {

using namespace diffprob;

struct Difference {
  double probability = 0;
  double others = 0;
  long rows = 0;
};

double distance(double a, double b, double scale) {
  return a == b ? 0 : std::abs(a - b) / scale;
}

void compare(double a, double b, double& largest, double scale = 1) {
  largest = std::max(largest, distance(a, b, scale));
}
void compare_relative(double a, double b, double& largest) {
  compare(a, b, largest, std::max(1.0, std::abs(b)));
}

Difference of_scores(const prune::ScoreTable& a, const prune::ScoreTable& b) {
  Difference d;
  for (std::size_t i = 0; i < a.records.size(); ++i) {
    const auto& x = a.records[i];
    const auto& y = b.records[i];
    compare(x.probability, y.probability, d.probability);
    for (const auto member :
         {&prune::ScoreRecord::nll, &prune::ScoreRecord::top1_log_prob,
          &prune::ScoreRecord::second_log_prob, &prune::ScoreRecord::sum_p2,
          &prune::ScoreRecord::entropy, &prune::ScoreRecord::cosine, &prune::ScoreRecord::norm}) {
      compare_relative(x.*member, y.*member, d.others);
    }
    d.rows += x.index != y.index || x.top1 != y.top1 || a.labels[i] != b.labels[i];
  }
  return d;
}

Difference of_dynamics(const prune::DynamicsTable& a, const prune::DynamicsTable& b) {
  Difference d;
  for (std::size_t i = 0; i < a.labels.size(); ++i) {
    compare(a.rows.mean_probability[i], b.rows.mean_probability[i], d.probability);
    compare(a.rows.last_probability[i], b.rows.last_probability[i], d.probability);
    compare_relative(a.rows.uncertainty[i], b.rows.uncertainty[i], d.others);
    compare_relative(a.rows.aum[i], b.rows.aum[i], d.others);
    d.rows += a.rows.forgetting[i] != b.rows.forgetting[i] ||
              a.rows.last_correct[i] != b.rows.last_correct[i] || a.labels[i] != b.labels[i];
  }
  return d;
}

bool is_scores(const std::string& path) {
  return path.ends_with("scores.h5");
}

int run(const std::string& first, const std::string& second) {
  Difference d;
  if (is_scores(first)) {
    const auto a = prune::read_scores(first);
    const auto b = prune::read_scores(second);
    if (a.records.size() != b.records.size() ||
        a.source.dataset_fingerprint != b.source.dataset_fingerprint)
      return 1;
    d = of_scores(a, b);
  } else {
    const auto a = prune::read_dynamics(first);
    const auto b = prune::read_dynamics(second);
    if (a.labels.size() != b.labels.size() || a.epochs != b.epochs ||
        a.source.dataset_fingerprint != b.source.dataset_fingerprint)
      return 1;
    d = of_dynamics(a, b);
  }
  std::printf("probability %.3g others %.3g exact %ld\n", d.probability, d.others, d.rows);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return argc == 3 ? run(argv[1], argv[2]) : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
