// Bytes that a step of the head hands to collectives on each rank: they grow with the global batch,
// not with the number of ranks.
#include <cstdint>
#include <map>
#include <string>

#include "tests/model/counting_communicator.h"
#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

HeadProblem random_problem(std::int64_t rows, std::int64_t classes, std::int64_t dim) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{2});
  return {torch::randn({rows, dim}, generator),
          torch::randint(classes, {rows}, generator, torch::kLong),
          torch::randn({classes, dim}, generator)};
}

TEST(HeadTraffic, ABatchCostsTheSameBytesForAnyNumberOfRanksAndClasses) {
  const auto inner = make_test_communicator();
  CountingCommunicator communicator(*inner);
  for (const auto& [rows, classes, dim] : {std::tuple{24, 40, 16}, std::tuple{48, 40, 16},
                                           std::tuple{24, 600, 16}, std::tuple{24, 40, 64}}) {
    for (const auto kind : {model::MarginKind::kCosFace, model::MarginKind::kCurricularFace}) {
      SCOPED_TRACE(c10::str(rows, " rows, ", classes, " classes, ", dim, " numbers, margin ",
                            model::margin_name(kind)));
      HeadUnderTest head(random_problem(rows, classes, dim), model::margin_defaults(kind),
                         communicator);
      communicator.reset();

      (void)head.step();

      // Embeddings with label and norm; their gradients; the target's cosine (8), three maxima and
      // a flag (16) and a sum (8) of each row.
      const std::map<std::string, std::int64_t> step = {{"all_gather", rows * (dim + 4) * 4},
                                                        {"reduce_scatter", rows * dim * 4},
                                                        {"all_reduce", rows * 32}};
      EXPECT_EQ(communicator.bytes(), step);
      EXPECT_EQ(communicator.operations(), 5);
      communicator.reset();

      (void)head.score({model::MarginKind::kNone, 64.0, 0.0});

      // Two maxima, one more, three sums.
      const std::map<std::string, std::int64_t> score = {{"all_gather", rows * (dim + 4) * 4},
                                                         {"all_reduce", rows * 48}};
      EXPECT_EQ(communicator.bytes(), score);
      EXPECT_EQ(communicator.operations(), 4);
    }
  }
}

}  // namespace
}  // namespace diffprob::tests
