// Margins element by element against scalar code from the papers, and their slopes against
// numerical derivatives of that code.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <torch/types.h>

#include "model/margin/adaface.h"
#include "model/margin/elastic.h"
#include "model/margin/margin.h"

namespace diffprob::tests {
namespace {

using model::LossPreset;
using model::MarginKind;
using model::MarginOptions;

constexpr double kPi = std::numbers::pi;
constexpr std::int64_t kRows = 37;
constexpr std::int64_t kClasses = 23;

/// What a margin knows beyond one cosine: the drawn margin or z of the row, t, cosine to the own
/// class.
struct Row {
  double extra = 0.0;
  double t = 0.0;
  double target = 0.0;
};

bool is_reference(const MarginOptions& o) {
  return o.preset == LossPreset::kReference;
}
bool is_arcface_torch(const MarginOptions& o) {
  return o.preset == LossPreset::kArcfaceTorch;
}

double slow_target(const MarginOptions& o, double c, const Row& row) {
  const double theta = std::acos(c);
  switch (o.kind) {
    case MarginKind::kNone:
      return o.scale * c;
    case MarginKind::kCosFace:
      return o.scale * (c - o.margin);
    case MarginKind::kArcFace:
      return o.scale * std::cos(theta + o.margin);
    case MarginKind::kCombined:
      if (is_arcface_torch(o)) return o.scale * (o.m3 > 0 ? c - o.m3 : std::cos(theta + o.m2));
      return o.scale * (std::cos(o.m1 * theta + o.m2) - o.m3);
    case MarginKind::kElasticArcFace:
    case MarginKind::kElasticArcFacePlus:
      return o.scale * std::cos(theta + row.extra);
    case MarginKind::kElasticCosFace:
    case MarginKind::kElasticCosFacePlus:
      return o.scale * (c - row.extra);
    case MarginKind::kCurricularFace:
      if (theta + o.margin < kPi) return o.scale * std::cos(theta + o.margin);
      return o.scale * (c - o.margin * std::sin(kPi - o.margin));
    case MarginKind::kAdaFace: {
      const double limit = 1.0 - 1e-3;
      const double seen = is_reference(o) ? std::max(-limit, std::min(limit, c)) : c;
      return o.scale *
             (std::cos(std::acos(seen) - o.margin * row.extra) - (o.margin * row.extra + o.margin));
    }
  }
  return std::nan("");
}

/// Effective cosine to another class.
double slow_other(const MarginOptions& o, double c, const Row& row) {
  if (o.filter_threshold > 0 && c > o.filter_threshold) return 0.0;
  if (o.kind == MarginKind::kCurricularFace && c > std::cos(std::acos(row.target) + o.margin))
    return c * (row.t + c);
  if (o.kind == MarginKind::kAdaFace && is_reference(o))
    return std::max(-(1.0 - 1e-3), std::min(1.0 - 1e-3, c));
  return c;
}

template <class Function>
double derivative(const Function& function, double c) {
  const double h = 1e-6 * std::sqrt(1.0 - c * c);
  return (function(c + h) - function(c - h)) / (2.0 * h);
}

MarginOptions make_options(MarginKind kind) {
  MarginOptions options = model::margin_defaults(kind);
  options.m1 = 1.3;
  options.m2 = 0.2;
  options.m3 = 0.15;
  options.curricular_momentum = 0.4;
  options.adaface_t_alpha = 0.7;
  return options;
}

/// Every kind, with its variants.
std::vector<MarginOptions> all_options() {
  std::vector<MarginOptions> all;
  for (const auto& name : model::margin_names()) {
    MarginOptions options = make_options(model::margin_kind(name));
    all.push_back(options);
    options.filter_threshold = 0.4;
    all.push_back(options);
    options.preset = LossPreset::kReference;
    all.push_back(options);
    options.preset = LossPreset::kArcfaceTorch;
    all.push_back(options);
  }
  // The other branch of its combined loss.
  MarginOptions angular = make_options(MarginKind::kCombined);
  angular.preset = LossPreset::kArcfaceTorch;
  angular.m1 = 1.0;
  angular.m3 = 0.0;
  all.push_back(angular);
  return all;
}

struct Batch {
  torch::Tensor cosines;  // [B, C] float64, other classes
  torch::Tensor target;   // [B] float64
  torch::Tensor norms;    // [B] float32
};

Batch random_batch(std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  Batch batch;
  batch.cosines = torch::rand({kRows, kClasses}, generator, torch::kDouble) * 1.98 - 0.99;
  batch.target = torch::rand({kRows}, generator, torch::kDouble) * 1.9996 - 0.9998;
  batch.norms = torch::rand({kRows}, generator) * 30.0 + 1.0;
  return batch;
}

/// What the margin of each row depends on, worked out anew for two batches in a row.
std::vector<Row> slow_rows(const MarginOptions& o, const std::vector<Batch>& batches,
                           std::uint64_t key) {
  std::vector<Row> rows(kRows);
  double t = 0, mean = 20, deviation = 100;
  const double alpha = is_reference(o) ? 1.0 : o.adaface_t_alpha;
  for (const auto& batch : batches) {
    const auto norms =
        is_reference(o) ? torch::ones({kRows}, torch::kDouble) : batch.norms.to(torch::kDouble);
    t = (1 - o.curricular_momentum) * t +
        o.curricular_momentum * batch.target.mean().item<double>();
    mean = (1 - alpha) * mean + alpha * norms.mean().item<double>();
    deviation = (1 - alpha) * deviation + alpha * norms.std().item<double>();
    const auto drawn = model::draw_margins(key, kRows, o.margin, o.elastic_std);
    for (std::int64_t i = 0; i < kRows; ++i) {
      Row& row = rows[static_cast<std::size_t>(i)];
      row = {drawn[i].item<double>(), t, batch.target[i].item<double>()};
      if (o.kind == MarginKind::kAdaFace) {
        const double sigma = is_arcface_torch(o) ? deviation + 1e-3 : std::max(deviation, 1e-3);
        const double z = o.adaface_h * (norms[i].item<double>() - mean) / sigma;
        row.extra = std::max(-1.0, std::min(1.0, z));
      }
    }
    if (o.kind == MarginKind::kElasticArcFacePlus || o.kind == MarginKind::kElasticCosFacePlus) {
      std::vector<double> margins(drawn.data_ptr<double>(), drawn.data_ptr<double>() + kRows);
      std::sort(margins.begin(), margins.end());
      std::vector<std::size_t> order(kRows);
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](auto a, auto b) { return rows[a].target > rows[b].target; });
      for (std::size_t k = 0; k < order.size(); ++k)
        rows[is_reference(o) ? k : order[k]].extra = margins[is_reference(o) ? order[k] : k];
    }
  }
  return rows;
}

/// The gradient ignores what the margin does.
bool passes_straight_through(const MarginOptions& o) {
  return is_arcface_torch(o) && (o.kind == MarginKind::kArcFace ||
                                 o.kind == MarginKind::kCombined || o.kind == MarginKind::kAdaFace);
}

class MarginFormula : public ::testing::TestWithParam<MarginOptions> {
 protected:
  static constexpr std::uint64_t kKey = 99;
  MarginFormula() {
    for (const auto& batch : batches_) target_ = margin_->target({batch.target, batch.norms, kKey});
  }
  [[nodiscard]] const Batch& batch() const { return batches_.back(); }

  MarginOptions options_ = GetParam();
  std::vector<Batch> batches_ = {random_batch(1), random_batch(2)};
  std::vector<Row> rows_ = slow_rows(options_, batches_, kKey);
  std::unique_ptr<model::Margin> margin_ = model::make_margin(options_, at::kCPU);
  model::TargetLogits target_;
};

TEST_P(MarginFormula, TargetIsThePapersFormula) {
  for (std::int64_t i = 0; i < kRows; ++i) {
    const Row& row = rows_[static_cast<std::size_t>(i)];
    EXPECT_NEAR(target_.logits[i].item<double>(), slow_target(options_, row.target, row), 1e-10)
        << "row " << i << ", cosine " << row.target;
  }
}

TEST_P(MarginFormula, TargetSlopeIsTheDerivative) {
  for (std::int64_t i = 0; i < kRows; ++i) {
    const Row& row = rows_[static_cast<std::size_t>(i)];
    const double wanted =
        passes_straight_through(options_)
            ? options_.scale
            : derivative([&](double c) { return slow_target(options_, c, row); }, row.target);
    EXPECT_NEAR(target_.slope[i].item<double>(), wanted, 1e-6 * (options_.scale + std::abs(wanted)))
        << "row " << i << ", cosine " << row.target;
  }
}

TEST_P(MarginFormula, OthersAreThePapersFormulaInBothPrecisions) {
  const auto effective = batch().cosines.clone();
  const auto single = batch().cosines.to(torch::kFloat);
  margin_->non_targets(effective);
  margin_->non_targets(single);
  const auto slope = margin_->non_target_slope(batch().cosines);
  const auto single_slope = margin_->non_target_slope(batch().cosines.to(torch::kFloat));
  EXPECT_EQ(single_slope.scalar_type(), torch::kFloat);

  std::int64_t changed = 0;
  for (std::int64_t i = 0; i < kRows; ++i) {
    for (std::int64_t j = 0; j < kClasses; ++j) {
      const Row& row = rows_[static_cast<std::size_t>(i)];
      const double c = batch().cosines[i][j].item<double>();
      const double wanted = slow_other(options_, c, row);
      const double wanted_slope =
          derivative([&](double x) { return slow_other(options_, x, row); }, c);
      changed += wanted != c ? 1 : 0;
      EXPECT_NEAR(effective[i][j].item<double>(), wanted, 1e-12);
      EXPECT_NEAR(single[i][j].item<double>(), wanted, 1e-6);
      EXPECT_NEAR(slope[i][j].item<double>(), wanted_slope, 1e-7);
      EXPECT_NEAR(single_slope[i][j].item<double>(), wanted_slope, 2e-6);
    }
  }
  EXPECT_EQ(changed > 0,
            options_.filter_threshold > 0 || options_.kind == MarginKind::kCurricularFace);
  EXPECT_EQ(margin_->changes_non_targets(),
            changed > 0 || (options_.kind == MarginKind::kAdaFace && is_reference(options_)));
}

TEST_P(MarginFormula, ChunksOfClassesAndTheOwnClassAreLeftApart) {
  auto whole = batch().cosines.to(torch::kFloat);
  whole.index_put_({torch::arange(kRows), torch::arange(kRows).remainder(kClasses)},
                   -std::numeric_limits<float>::infinity());
  const auto own = whole.isneginf();
  const auto first = whole.narrow(1, 0, 5).clone();
  const auto second = whole.narrow(1, 5, kClasses - 5).clone();

  EXPECT_TRUE(margin_->non_target_slope(whole).isfinite().all().item<bool>());
  margin_->non_targets(whole);
  margin_->non_targets(first);
  margin_->non_targets(second);

  EXPECT_TRUE(torch::equal(whole, torch::cat({first, second}, 1)));
  EXPECT_TRUE(torch::equal(whole.isneginf(), own));
}

/// Slopes stay finite where acos has no derivative, and a row without an own class keeps an
/// infinite loss.
TEST_P(MarginFormula, EdgesAreFinite) {
  const auto cosines = torch::tensor(
      {1.0, -1.0, 0.0, 1.0 - 0x1p-24, -1.0 + 0x1p-53, -std::numeric_limits<double>::infinity()},
      torch::kDouble);
  const auto logits = margin_->target({cosines, torch::full({6}, 15.0f), kKey});

  EXPECT_TRUE(logits.slope.isfinite().all().item<bool>()) << logits.slope;
  EXPECT_TRUE(logits.logits.narrow(0, 0, 5).isfinite().all().item<bool>());
  EXPECT_TRUE(logits.logits[5].isneginf().item<bool>());
  EXPECT_LE(logits.slope.abs().max().item<double>(), options_.scale * 1.5e4);
}

TEST_P(MarginFormula, BatchThatIsNotFiniteLeavesTheState) {
  std::vector<double> before;
  for (const auto& [name, value] : margin_->state()) before.push_back(value.item<double>());
  auto target = batch().target.clone();
  target[3] = std::nan("");
  auto norms = batch().norms.clone();
  norms[3] = std::nanf("");

  (void)margin_->target({target, norms, kKey});

  const auto state = margin_->state();
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_EQ(state[i].second.item<double>(), before[i]) << state[i].first;
}

/// State restored through state() goes on as if nothing had happened.
TEST_P(MarginFormula, StateIsAllThereIs) {
  const auto copy = model::make_margin(options_, at::kCPU);
  const auto from = margin_->state();
  auto to = copy->state();
  ASSERT_EQ(from.size(), to.size());
  for (std::size_t i = 0; i < to.size(); ++i) {
    EXPECT_EQ(to[i].first, from[i].first);
    to[i].second.copy_(from[i].second);
  }
  const auto next = random_batch(3);

  const auto one = margin_->target({next.target, next.norms, 5});
  const auto other = copy->target({next.target, next.norms, 5});

  EXPECT_TRUE(torch::equal(one.logits, other.logits));
  EXPECT_TRUE(
      torch::equal(margin_->non_target_slope(next.cosines), copy->non_target_slope(next.cosines)));
}

INSTANTIATE_TEST_SUITE_P(Kinds, MarginFormula, ::testing::ValuesIn(all_options()),
                         [](const auto& entry) {
                           return model::margin_name(entry.param.kind) +
                                  (entry.param.filter_threshold > 0 ? "_filtered" : "") +
                                  (is_reference(entry.param) ? "_reference" : "") +
                                  (is_arcface_torch(entry.param) ? "_arcface_torch" : "") +
                                  (entry.param.m3 == 0 ? "_angular" : "");
                         });

TEST(Margin, ScoringUsesTheTrainingFormulaWithoutChanceOrState) {
  const auto batch = random_batch(4);
  for (const auto& name : model::margin_names()) {
    MarginOptions options = make_options(model::margin_kind(name));
    options.elastic_std = 0.0;
    const auto margin = model::make_margin(options, at::kCPU);
    // Norms of the initial mean with the statistics held: z = 0.
    const auto training = margin->target({batch.target, torch::full({kRows}, 20.0f), 1});

    const auto scoring = model::apply_margin(batch.target, options);

    EXPECT_TRUE(torch::allclose(scoring.logits, training.logits, 1e-12, 1e-11)) << name;
    EXPECT_TRUE(torch::allclose(scoring.slope, training.slope, 1e-12, 1e-11)) << name;
  }
}

TEST(Margin, ExactSlopeOfArcFaceOverThatOfArcfaceTorch) {
  const auto angles = torch::tensor({0.2, 0.5, 1.0, 1.4}, torch::kDouble);
  MarginOptions options = model::margin_defaults(MarginKind::kArcFace);
  const auto exact = model::apply_margin(angles.cos(), options);
  options.preset = LossPreset::kArcfaceTorch;
  const auto straight = model::apply_margin(angles.cos(), options);

  EXPECT_TRUE(torch::equal(exact.logits, straight.logits));
  const auto ratio = exact.slope / straight.slope;
  const auto measured = torch::tensor({3.24, 1.76, 1.19, 0.96}, torch::kDouble);
  EXPECT_LE((ratio - measured).abs().max().item<double>(), 0.006) << ratio;
}

TEST(Margin, ArcfaceTorchHasNoCombinedLossWithAFactorAlone) {
  MarginOptions options = make_options(MarginKind::kCombined);
  options.preset = LossPreset::kArcfaceTorch;
  options.m3 = 0.0;
  try {
    (void)model::make_margin(options, at::kCPU);
    ADD_FAILURE() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what_without_backtrace(), ::testing::HasSubstr("m1 other than 1 (got 1.3)"));
  }
}

TEST(Margin, AdaFaceWithoutDeviationKeepsItsStatistics) {
  const auto margin = model::make_margin(make_options(MarginKind::kAdaFace), at::kCPU);
  const auto logits =
      margin->target({torch::zeros({1}, torch::kDouble), torch::full({1}, 3.0f), 0});
  EXPECT_TRUE(logits.logits.isfinite().all().item<bool>());
  EXPECT_EQ(margin->state()[0].second.item<double>(), 20.0);
  EXPECT_EQ(margin->state()[1].second.item<double>(), 100.0);
}

TEST(Margin, DrawnMarginsAreNormalAndKeyedByRow) {
  constexpr std::int64_t kMany = 200000;
  const auto many = model::draw_margins(7, kMany, 0.35, 0.05);
  EXPECT_TRUE(torch::equal(many.narrow(0, 0, 100), model::draw_margins(7, 100, 0.35, 0.05)));
  EXPECT_FALSE(torch::equal(many.narrow(0, 0, 100), model::draw_margins(8, 100, 0.35, 0.05)));
  EXPECT_NEAR(many.mean().item<double>(), 0.35, 5 * 0.05 / std::sqrt(kMany));
  EXPECT_NEAR(many.std().item<double>(), 0.05, 5 * 0.05 / std::sqrt(2.0 * kMany));
  const auto beyond = (many > 0.35 + 2 * 0.05).to(torch::kDouble).mean().item<double>();
  EXPECT_NEAR(beyond, 0.02275, 5 * std::sqrt(0.02275 / kMany));
}

TEST(Margin, LargestCosineGetsTheSmallestMargin) {
  const auto cosines = torch::tensor({0.2, 0.9, -0.3, 0.5}, torch::kDouble);
  const auto drawn = torch::tensor({0.4, 0.1, 0.3, 0.2}, torch::kDouble);
  const auto paper = model::deal_margins(drawn, cosines, model::DealRule::kPaper);
  const auto reference = model::deal_margins(drawn, cosines, model::DealRule::kReference);
  EXPECT_TRUE(torch::equal(paper, torch::tensor({0.3, 0.1, 0.4, 0.2}, torch::kDouble))) << paper;
  EXPECT_TRUE(torch::equal(reference, torch::tensor({0.2, 0.4, 0.1, 0.3}, torch::kDouble)))
      << reference;
}

TEST(Margin, NamesGoBothWaysAndUnknownOnesListThem) {
  for (const auto& name : model::margin_names()) {
    EXPECT_EQ(model::margin_name(model::margin_kind(name)), name);
    EXPECT_EQ(model::margin_defaults(model::margin_kind(name)).kind, model::margin_kind(name));
  }
  try {
    (void)model::margin_kind("sphereface9");
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_THAT(
        error.what_without_backtrace(),
        ::testing::AllOf(::testing::HasSubstr("sphereface9"), ::testing::HasSubstr("adaface")));
  }
}

TEST(Margin, OptionsOutOfRangeAreNamed) {
  const std::pair<const char*, void (*)(MarginOptions&)> wrongs[] = {
      {"scale", [](MarginOptions& o) { o.scale = 0; }},
      {"margin", [](MarginOptions& o) { o.margin = std::nan(""); }},
      {"elastic_std", [](MarginOptions& o) { o.elastic_std = -1; }},
      {"curricular_momentum", [](MarginOptions& o) { o.curricular_momentum = 2; }},
      {"adaface_t_alpha", [](MarginOptions& o) { o.adaface_t_alpha = -0.1; }},
      {"filter_threshold", [](MarginOptions& o) { o.filter_threshold = 1.5; }}};
  for (const auto& [name, spoil] : wrongs) {
    MarginOptions options;
    spoil(options);
    try {
      (void)model::make_margin(options, at::kCPU);
      ADD_FAILURE() << name << ": no error";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what_without_backtrace(), ::testing::HasSubstr(name));
    }
  }
}

}  // namespace
}  // namespace diffprob::tests
