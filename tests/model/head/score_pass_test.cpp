// The three steps of scoring, split over pretended ranks in one process, against sums over all
// classes in float64.
#include "model/head/score_pass.h"

#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/normalization.h>

#include "model/head/score_merge.h"
#include "model/head/sharded_head.h"

namespace diffprob::model {
namespace {

constexpr double kScale = 64;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Problem {
  at::Tensor x;       ///< [n, D] unit rows
  at::Tensor labels;  ///< [n]
  at::Tensor weight;  ///< [C, D]
};

Problem make_problem(std::int64_t rows, std::int64_t classes, std::int64_t dim) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{9});
  Problem p;
  p.weight = torch::randn({classes, dim}, generator);
  p.labels = torch::randint(classes, {rows}, generator, torch::kLong);
  const auto pull = torch::linspace(3.0, -3.0, rows).unsqueeze(1);
  p.x = torch::nn::functional::normalize(torch::randn({rows, dim}, generator) +
                                         pull * p.weight.index_select(0, p.labels));
  return p;
}

/// What all ranks know in the end: first, target, second, sums. [6, n]
at::Tensor exchange(const Problem& p, int ranks, BlockWorkers* workers, std::int64_t place = 0) {
  const std::int64_t classes = p.weight.size(0);
  const int bits = fraction_bits(classes);
  std::vector<ScorePass> passes;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::int64_t first = first_class_of_rank(classes, rank, ranks);
    passes.emplace_back(
        p.weight.narrow(0, first, first_class_of_rank(classes, rank + 1, ranks) - first), first,
        workers);
  }
  at::Tensor maxima, second, sums;
  for (auto& pass : passes) {
    const at::Tensor own = pass.maxima(p.x, p.labels, place);
    maxima = maxima.defined() ? at::maximum(maxima, own) : own;
  }
  for (auto& pass : passes) {
    const at::Tensor own = pass.second_maxima(maxima.select(0, 0));
    second = second.defined() ? at::maximum(second, own) : own;
  }
  for (auto& pass : passes) {
    const at::Tensor own = pass.sums(maxima.select(0, 0), second, kScale, bits);
    sums = sums.defined() ? sums + own : own;
  }
  return at::cat({maxima, second.unsqueeze(0), sums});
}

TEST(ScorePass, SameBitsHoweverClassesAreSplitAndForAnyNumberOfThreads) {
  // A class a rank and none; borders of ranks inside and on blocks of 256 classes; several blocks a
  // rank; an embedding of odd size.
  for (const auto& [rows, classes, dim] : {std::tuple{5, 3, 16}, std::tuple{70, 256, 32},
                                           std::tuple{130, 1000, 33}, std::tuple{9, 2600, 64}}) {
    const Problem p = make_problem(rows, classes, dim);
    BlockWorkers one(1), three(3);
    const at::Tensor want = exchange(p, 1, &one);
    for (const int ranks : {1, 2, 3, 4, 7}) {
      EXPECT_TRUE(at::equal(exchange(p, ranks, &one), want))
          << classes << " classes, " << ranks << " ranks";
      EXPECT_TRUE(at::equal(exchange(p, ranks, &three), want))
          << classes << " classes, " << ranks << " ranks, 3 threads";
    }
  }
}

TEST(ScorePass, ARowOnlyNeedsItsPlaceInABlock) {
  const Problem p = make_problem(150, 700, 32);
  BlockWorkers workers(2);
  const at::Tensor want = exchange(p, 2, &workers);
  for (const auto& [begin, count] : {std::pair{0, 1}, std::pair{3, 7}, std::pair{60, 10},
                                     std::pair{64, 64}, std::pair{149, 1}}) {
    const Problem part{p.x.narrow(0, begin, count), p.labels.narrow(0, begin, count), p.weight};
    EXPECT_TRUE(at::equal(exchange(part, 3, &workers, begin % ScorePass::block_rows(at::kCPU)),
                          want.narrow(1, begin, count)))
        << count << " rows from " << begin;
  }
}

TEST(ScorePass, LibTorchsOperatorsFindTheSame) {
  const Problem p = make_problem(40, 900, 48);
  BlockWorkers workers(2);
  const at::Tensor host = exchange(p, 2, &workers), device = exchange(p, 3, nullptr);
  for (std::int64_t row = 0; row < 40; ++row) {
    const auto at = [row](const at::Tensor& t, std::int64_t column) {
      return t[column][row].item<std::int64_t>();
    };
    EXPECT_EQ(class_of_key(at(host, 0)), class_of_key(at(device, 0)));
    for (const std::int64_t column : {0, 1, 2})
      EXPECT_NEAR(cosine_of_key(at(host, column)), cosine_of_key(at(device, column)), 1e-6F);
    for (const std::int64_t column : {3, 4, 5}) {
      const auto want = static_cast<double>(at(host, column));
      EXPECT_NEAR(static_cast<double>(at(device, column)), want, 2e-4 * want + 1) << column;
    }
  }
}

TEST(ScorePass, KeysOrderAsCosinesDoAndTheLowestClassWins) {
  const std::vector<float> ascending = {-kInfinity, -1.0F, -0.5F, -1e-30F,      0.0F,
                                        1e-30F,     0.5F,  1.0F,  std::nanf("")};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    const std::int64_t key = cosine_key(ascending[i], 77);
    EXPECT_EQ(class_of_key(key), i == 0 ? -1 : 77);
    if (i + 1 < ascending.size()) {
      EXPECT_EQ(cosine_of_key(key), ascending[i]);
      EXPECT_LT(key, cosine_key(ascending[i + 1], 1000000000));
      EXPECT_LT(key, cosine_key(-std::nanf(""), 77));  // negative ones, too
    }
  }
  EXPECT_GT(cosine_key(0.25F, 3), cosine_key(0.25F, 4));
  EXPECT_EQ(fraction_bits(1000), 40);
  EXPECT_EQ(fraction_bits(10000000), 38);
}

TEST(ScorePass, WhatIsNoNumberShows) {
  Problem p = make_problem(6, 300, 16);
  BlockWorkers workers(2);
  const float infinity = kInfinity;
  for (const float spoilt : {std::nanf(""), -std::nanf(""), infinity, infinity - infinity}) {
    p.weight[260].fill_(spoilt);
    p.labels[0] = 260;
    p.labels[1] = 3;
    for (BlockWorkers* of_device : {&workers, static_cast<BlockWorkers*>(nullptr)}) {
      const at::Tensor found = exchange(p, 2, of_device);
      for (std::int64_t row = 0; row < 6; ++row) {
        const bool target = p.labels[row].item<std::int64_t>() == 260;
        EXPECT_TRUE(std::isnan(cosine_of_key(found[target ? 1 : 0][row].item<std::int64_t>())))
            << spoilt << ", row " << row;
      }
    }
  }
}

TEST(ScoreMerge, IsTheSoftmaxOfTheRow) {
  const Problem p = make_problem(60, 500, 32);
  BlockWorkers workers(1);
  const at::Tensor found = exchange(p, 1, &workers);
  const double unit = std::ldexp(1.0, -fraction_bits(500));
  const at::Tensor cosines =
      p.x.to(at::kDouble).mm(torch::nn::functional::normalize(p.weight.to(at::kDouble)).t());
  for (std::int64_t row = 0; row < 60; ++row) {
    const auto at = [&](std::int64_t column) { return found[column][row].item<std::int64_t>(); };
    const auto sum = [&](std::int64_t column) { return unit * static_cast<double>(at(column)); };
    const std::int64_t label = p.labels[row].item<std::int64_t>();
    const RowStatistics statistics{cosine_of_key(at(1)),
                                   cosine_of_key(at(0)),
                                   class_of_key(at(0)),
                                   cosine_of_key(at(2)),
                                   sum(3),
                                   sum(4),
                                   sum(5)};

    const RowScores scores =
        merge_scores(statistics, label, kScale, kScale * static_cast<double>(statistics.target));

    const at::Tensor log_p = (cosines[row] * kScale).log_softmax(0);
    EXPECT_EQ(scores.top1, log_p.argmax().item<std::int64_t>());
    const auto two = std::get<0>(log_p.topk(2));
    EXPECT_NEAR(scores.nll, -log_p[label].item<double>(), 1e-4);
    EXPECT_NEAR(scores.probability, log_p[label].exp().item<double>(), 1e-5);
    EXPECT_NEAR(scores.top1_log_prob, two[0].item<double>(), 1e-4);
    EXPECT_NEAR(scores.second_log_prob, two[1].item<double>(), 1e-4);
    EXPECT_NEAR(scores.sum_p2, log_p.exp().square().sum().item<double>(), 1e-5);
    EXPECT_NEAR(scores.entropy, -(log_p.exp() * log_p).sum().item<double>(), 1e-4);
  }
}

TEST(ScoreMerge, OneTwoAndNoOtherClasses) {
  const RowScores alone = merge_scores({0.5F, -kInfinity, -1, -kInfinity, 0, 0, 0}, 0, kScale, 32);
  EXPECT_EQ(alone.probability, 1.0F);
  EXPECT_EQ(alone.nll, 0.0F);
  EXPECT_EQ(alone.top1, 0);
  EXPECT_EQ(alone.top1_log_prob, 0.0F);
  EXPECT_EQ(alone.second_log_prob, -kInfinity);
  EXPECT_EQ(alone.sum_p2, 1.0F);
  EXPECT_EQ(alone.entropy, 0.0F);

  // Two equal classes: the lower one is on top, whichever is the label.
  for (const std::int64_t label : {1, 3}) {
    const RowScores pair =
        merge_scores({0.5F, 0.5F, label == 1 ? 3 : 1, -kInfinity, 0, 0, 0}, label, kScale, 32);
    EXPECT_EQ(pair.top1, 1);
    EXPECT_FLOAT_EQ(pair.nll, std::log(2.0F));
    EXPECT_FLOAT_EQ(pair.entropy, std::log(2.0F));
    EXPECT_FLOAT_EQ(pair.second_log_prob, -std::log(2.0F));
    EXPECT_FLOAT_EQ(pair.sum_p2, 0.5F);
  }
  const RowScores spoilt = merge_scores({0.5F, std::nanf(""), 2, 0.1F, 1, 1, 0}, 1, kScale, 32);
  EXPECT_EQ(spoilt.top1, -1);
  EXPECT_TRUE(std::isnan(spoilt.nll) && std::isnan(spoilt.probability) &&
              std::isnan(spoilt.entropy));
}

}  // namespace
}  // namespace diffprob::model
