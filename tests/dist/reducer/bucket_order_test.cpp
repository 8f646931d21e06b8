// When and in which order buckets are sent.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "dist/reducer/gradient_buckets.h"
#include "dist/reducer/gradient_reducer.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

/// Ranks whose gradients arrive in different orders, the first micro-steps silent: rank 0's order
/// counts, and the sums are right.
TEST(GradientReducerOrder, IsAgreedOnWhenRanksDifferAndAccumulate) {
  auto comm = make_mpi_communicator();
  auto a = torch::full({16}, 2.0, torch::requires_grad());
  auto b = torch::full({32}, 3.0, torch::requires_grad());
  auto c = torch::full({48}, 5.0, torch::requires_grad());
  GradientReducer reducer({a, b, c}, *comm,
                          {.bucket_bytes = 1,
                           .first_bucket_bytes = 1,
                           .combine = GradientReducerOptions::Combine::kSum});
  const auto backward_once = [&] {
    // d/da = 1 * rank factor and so on; the graph's depth decides who comes first, and differs
    // between even and odd ranks
    const float factor = static_cast<float>(world_rank() + 1);
    if (world_rank() % 2 == 0) {
      ((c.sum() * factor + b.sum() * factor) * 1.0F + a.sum() * factor).backward();
    } else {
      ((a.sum() * factor + b.sum() * factor) * 1.0F + c.sum() * factor).backward();
    }
  };
  float ranks = 0;
  for (int r = 0; r < world_size(); ++r) ranks += static_cast<float>(r + 1);
  for (int round = 0; round < 3; ++round) {
    reducer.zero_grad();
    for (int m = 0; m < 3; ++m) {
      reducer.set_communicate(m == 2);
      backward_once();
    }
    reducer.finish();

    for (const auto& p : {a, b, c})
      EXPECT_TRUE(torch::equal(p.grad(), torch::full_like(p, 3 * ranks))) << "round " << round;
  }
}

/// One rank; writes down what is sent, and when.
class RecordingCommunicator final : public Communicator {
 public:
  explicit RecordingCommunicator(std::vector<std::string>& log)
      : Communicator(0, 1, at::kCPU, {}), log_(log) {}
  void abort() noexcept override {}

 private:
  struct Nothing final : Work {
    void wait_stream() override {}
    void wait_host() override {}
  };
  std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    if (op == ReduceOp::kSum) log_.push_back("send " + std::to_string(tensor.numel()));
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_all_gather_v(at::Tensor, at::Tensor,
                                        std::vector<std::int64_t>) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor, at::Tensor,
                                            std::vector<std::int64_t>) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_broadcast(at::Tensor, int) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_barrier() override { return std::make_unique<Nothing>(); }

  std::vector<std::string>& log_;
};

/// Elements of the float32 parameters of each bucket.
std::vector<std::vector<std::int64_t>> filled(const std::vector<std::int64_t>& elements,
                                              const BucketBytes& bytes) {
  std::vector<at::Tensor> parameters;
  std::vector<std::size_t> order;
  for (const std::int64_t n : elements) {
    order.push_back(parameters.size());
    parameters.push_back(torch::zeros({n}));
  }
  std::vector<std::vector<std::int64_t>> sizes;
  for (const auto& bucket : make_gradient_buckets(parameters, order, bytes).buckets) {
    sizes.emplace_back();
    for (const std::size_t i : bucket.members) sizes.back().push_back(elements[i]);
  }
  return sizes;
}

TEST(GradientBuckets, FirstAndLastAreSmall) {
  using Sizes = std::vector<std::vector<std::int64_t>>;
  EXPECT_EQ(filled({10, 10, 30, 30, 30, 30, 2, 3, 4}, {40, 240, 36}),
            (Sizes{{10}, {10, 30, 30}, {30, 30}, {2, 3, 4}}));
  EXPECT_EQ(filled({10, 10, 30, 30, 30, 30, 2, 3, 4}, {40, 1000, 35}),
            (Sizes{{10}, {10, 30, 30, 30, 30, 2}, {3, 4}}));
  EXPECT_EQ(filled({10, 50, 60}, {40, 1000, 0}), (Sizes{{10}, {50}, {60}}))
      << "one parameter stays whole";
  EXPECT_EQ(filled({10, 5, 6}, {1000, 1000, 84}), (Sizes{{10, 5, 6}})) << "all of it is small";
  EXPECT_EQ(filled({7}, {1, 1, 1}), (Sizes{{7}}));
  EXPECT_EQ(filled({}, {1, 1, 1}), Sizes());
}

TEST(GradientReducerOverlap, SilentMicroStepsSendNothing) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  auto a = torch::ones({16}, torch::requires_grad());
  GradientReducer reducer({a}, comm);
  reducer.zero_grad();
  reducer.set_communicate(false);
  a.sum().backward();
  a.sum().backward();
  reducer.finish();
  EXPECT_EQ(log, std::vector<std::string>{});
  reducer.set_communicate(true);
  a.sum().backward();
  reducer.finish();
  EXPECT_EQ(log, std::vector<std::string>{"send 16"});
  EXPECT_EQ(a.grad()[0].item<float>(), 3.0F);
}

/// A reducer that begins anew, as after a resume, sends what one that goes on sends.
TEST(GradientReducerOverlap, BucketsKeepTheirOrderWhenAsked) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  auto a = torch::ones({16}, torch::requires_grad());
  auto b = torch::ones({32}, torch::requires_grad());
  GradientReducer reducer({a, b}, comm,
                          {.bucket_bytes = 1, .first_bucket_bytes = 1, .reorder = false});
  for (int step = 0; step < 3; ++step) {
    log.clear();
    reducer.zero_grad();
    (b.sum() * a).sum().backward();  // a's gradient comes first
    reducer.finish();
    EXPECT_EQ(log, (std::vector<std::string>{"send 32", "send 16"})) << step;
  }
}

TEST(GradientReducerOverlap, BucketsFollowTheTrueOrderAndLeaveDuringBackward) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  // Gradients arrive as a, b, c, which is not the reverse of the order of the parameters. One
  // bucket each: 16, 32, 48 elements.
  auto a = torch::ones({16}, torch::requires_grad());
  auto b = torch::ones({32}, torch::requires_grad());
  auto c = torch::ones({48}, torch::requires_grad());
  GradientReducer reducer({a, b, c}, comm,
                          {.bucket_bytes = 1,
                           .first_bucket_bytes = 1,
                           .combine = GradientReducerOptions::Combine::kSum});
  const auto hooks = {a.register_hook([&](const at::Tensor&) { log.emplace_back("gradient a"); }),
                      b.register_hook([&](const at::Tensor&) { log.emplace_back("gradient b"); }),
                      c.register_hook([&](const at::Tensor&) { log.emplace_back("gradient c"); })};
  EXPECT_EQ(hooks.size(), 3U);
  const auto step = [&] {
    log.clear();
    reducer.zero_grad();
    ((c.sum() * b).sum() * a).sum().backward();
    log.emplace_back("end of backward");
    reducer.finish();
    return log;
  };

  using Log = std::vector<std::string>;
  EXPECT_EQ(step(), (Log{"gradient a", "gradient b", "gradient c", "send 48", "send 32", "send 16",
                         "end of backward"}));
  EXPECT_EQ(a.grad()[0].item<float>(), 48.0F * 32.0F);  // contents survived the new order
  EXPECT_EQ(b.grad()[0].item<float>(), 48.0F * 16.0F);
  EXPECT_EQ(step(), (Log{"gradient a", "send 16", "gradient b", "send 32", "gradient c", "send 48",
                         "end of backward"}));
  EXPECT_EQ(step(), (Log{"gradient a", "send 16", "gradient b", "send 32", "gradient c", "send 48",
                         "end of backward"}));
}

}  // namespace
}  // namespace diffprob::dist
