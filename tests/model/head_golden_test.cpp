// The sharded head against losses.h5. Every case of the file appears; those whose loss is not in this build are skipped by name.
#include <gmock/gmock.h>

#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string loss;
  std::string name;
};

std::vector<Case> all_cases() {
  const Golden golden("losses.h5");
  std::vector<Case> cases;
  for (const auto& loss : golden.names("/")) {
    if (loss == "input") continue;
    for (const auto& name : golden.names(loss)) cases.push_back({loss, name});
  }
  return cases;
}

class HeadGolden : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] std::string path(const std::string& leaf) const { return GetParam().loss + "/" + GetParam().name + "/" + leaf; }
  [[nodiscard]] model::MarginOptions margin() const {
    return {model::MarginKind::kCosFace, golden_.number(GetParam().loss, "s"), golden_.number(GetParam().loss, "m")};
  }
  [[nodiscard]] HeadProblem input(const std::string& group) const {
    return {golden_tensor(golden_, group + "/embedding"), golden_ids(golden_, group + "/label"),
            golden_tensor(golden_, group + "/weight_CD")};
  }
  /// float64 numbers where the file has them.
  [[nodiscard]] torch::Tensor wanted(const std::string& leaf) const {
    return golden_tensor64(golden_, golden_.has(path(leaf + "_f64")) ? path(leaf + "_f64") : path(leaf));
  }
  void expect_loss_and_probability(HeadUnderTest& head, const model::HeadStep& step) {
    const auto loss = wanted("loss");
    EXPECT_LE(distance(step.loss, loss, largest(loss)), 1e-5);
    EXPECT_LE(distance(step.probability, head.own(wanted("prob"))), 5e-5);
  }
  void expect_target_logits(HeadUnderTest& head, const HeadProblem& problem, const model::MarginOptions& options) {
    const auto logits = wanted("logits");
    const auto target = logits.gather(1, problem.labels.unsqueeze(1)).squeeze(1);
    const auto ours = model::apply_margin(head.score(options).cosine, options).logits;
    EXPECT_LE(distance(ours, head.own(target), largest(logits)), 1e-5);
  }
  void main_case();
  void edge_case();
  void exact_case();
  void no_margin_case();
  void negative_label_case();

  Golden golden_{"losses.h5"};
  std::unique_ptr<dist::Communicator> communicator_ = dist::make_mpi_communicator();
};

void HeadGolden::main_case() {
  const auto problem = input("input/main");
  HeadUnderTest head(problem, margin(), *communicator_);
  const auto step = head.step();

  expect_loss_and_probability(head, step);
  const auto grad_embedding = wanted("grad_embedding");
  const auto grad_weight = wanted("grad_weight_CD");
  EXPECT_LE(distance(step.grad_embeddings, head.own(grad_embedding), largest(grad_embedding)), 1e-5);
  EXPECT_LE(distance(head.head().weight().grad(), head.own_classes(grad_weight), largest(grad_weight)), 1e-4);
  expect_target_logits(head, problem, margin());
}

void HeadGolden::edge_case() {
  const auto problem = input("input/edge");
  HeadUnderTest head(problem, margin(), *communicator_);
  const auto step = head.step();

  expect_loss_and_probability(head, step);
  expect_target_logits(head, problem, margin());
  EXPECT_TRUE(step.grad_embeddings.isfinite().all().item<bool>());
  EXPECT_TRUE(head.head().weight().grad().isfinite().all().item<bool>());
  const auto grad = wanted("grad_embedding");
  auto allowed = 1e-4 * grad.abs().amax(1) + 1e-6 / problem.embeddings.to(torch::kDouble).norm(2, 1);
  allowed.index_fill_(0, golden_ids(golden_, "input/edge/singular_rows"), 1e30);
  EXPECT_LE(distance((step.grad_embeddings - head.own(grad)) / head.own(allowed).unsqueeze(1), torch::zeros({1})), 1.0);
  const auto grad_weight = wanted("grad_weight_CD");
  auto regular = torch::ones({grad_weight.size(0), 1}, torch::kDouble);
  regular.index_fill_(0, golden_ids(golden_, "input/edge/singular_classes"), 0.0);
  const auto own_regular = head.own_classes(regular);
  EXPECT_LE(
      distance(head.head().weight().grad() * own_regular, head.own_classes(grad_weight) * own_regular, largest(grad_weight * regular)),
      1e-3);
}

void HeadGolden::exact_case() {
  const HeadProblem problem = input(GetParam().loss + "/" + GetParam().name);
  HeadUnderTest head(problem, margin(), *communicator_);
  const auto step = head.step();

  expect_loss_and_probability(head, step);
  expect_target_logits(head, problem, margin());
  const auto grad_embedding = wanted("grad_embedding");
  const auto grad_weight = wanted("grad_weight_CD");
  EXPECT_LE(distance(step.grad_embeddings, head.own(grad_embedding), largest(grad_embedding)), 1e-5);
  EXPECT_LE(distance(head.head().weight().grad(), head.own_classes(grad_weight), largest(grad_weight)), 1e-5);
}

void HeadGolden::no_margin_case() {
  const auto problem = input("input/main");
  model::MarginOptions none = margin();
  none.kind = model::MarginKind::kNone;
  HeadUnderTest head(problem, margin(), *communicator_);
  const auto predicted = golden_ids(golden_, path("predicted"));

  const auto scores = head.score(none);
  const auto correct = head.step().correct;

  EXPECT_LE(distance(scores.probability, head.own(wanted("prob"))), 5e-5);
  EXPECT_TRUE(torch::equal(scores.top1, head.own(predicted)));
  EXPECT_TRUE(torch::equal(correct, head.own(predicted == problem.labels)));
  expect_target_logits(head, problem, none);
  const auto top = std::get<0>(wanted("logits").log_softmax(1).topk(2, 1));
  EXPECT_LE(distance(scores.top1_log_prob, head.own(top.select(1, 0))), 1e-4);
  EXPECT_LE(distance(scores.second_log_prob, head.own(top.select(1, 1))), 1e-4);
}

/// The reference gives such rows no margin in the logits and then fails in the loss; here the label is an error, on every rank.
void HeadGolden::negative_label_case() {
  auto problem = input("input/main");
  problem.labels = golden_ids(golden_, path("label"));
  HeadUnderTest head(problem, margin(), *communicator_);
  const auto first_bad = (problem.labels < 0).to(torch::kLong).argmax().item<std::int64_t>();
  std::int64_t row = first_bad;
  std::size_t rank = 0;
  while (row >= head.counts()[rank]) row -= head.counts()[rank++];
  const std::string named = "rank " + std::to_string(rank) + ", row " + std::to_string(row) + " of its batch: label " +
                            std::to_string(problem.labels[first_bad].item<std::int64_t>());

  const auto run = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const c10::Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(run([&] { (void)head.step(); }), HasSubstr(named));
  EXPECT_THAT(run([&] { (void)head.score(margin()); }), HasSubstr(named));
}

TEST_P(HeadGolden, AgreesWithTheReference) {
  const auto& [loss, name] = GetParam();
  if (loss != "CosFace") GTEST_SKIP() << loss << "/" << name << ": loss " << loss << " is not in this build";
  if (name == "main") return main_case();
  if (name == "edge") return edge_case();
  if (name == "exact") return exact_case();
  if (name == "no_margin") return no_margin_case();
  if (name == "negative_label") return negative_label_case();
  FAIL() << "losses.h5 has a case " << loss << "/" << name << " that this test does not know";
}

INSTANTIATE_TEST_SUITE_P(Losses, HeadGolden, ::testing::ValuesIn(all_cases()), [](const auto& entry) {
  std::string name = entry.param.loss + "_" + entry.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

}  // namespace
}  // namespace diffprob::tests
