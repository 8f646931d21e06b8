// main of every test that needs ranks: one MPI job, a failure on one rank fails all, and a world of
// the wrong size is refused.
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>
#include <mpi.h>

#include "dist/mpi/environment.h"
#include "tests/support/device_guard.h"
#include "tests/support/mpi_world.h"

namespace {

diffprob::dist::MpiEnvironment* world = nullptr;

class FailTogether : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo& info) override {
    int failed = info.result()->Failed() ? 1 : 0;
    int any = 0;
    MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (any != 0 && failed == 0) ADD_FAILURE() << "failed on another rank";
  }
};

}  // namespace

diffprob::dist::MpiEnvironment& diffprob::tests::mpi() {
  return *world;
}

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  diffprob::dist::MpiEnvironment mpi(&argc, &argv);
  world = &mpi;
  const char* wanted = std::getenv("DIFFPROB_TEST_RANKS");
  if (wanted == nullptr || std::atoi(wanted) != mpi.world_size()) {
    std::fprintf(stderr,
                 "this test must run on DIFFPROB_TEST_RANKS=%s ranks, but the world has %d\n",
                 wanted == nullptr ? "(unset)" : wanted, mpi.world_size());
    mpi.abort(2);
  }
  if (!diffprob::tests::has_test_device()) return 0;
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (mpi.rank() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new FailTogether);
  return RUN_ALL_TESTS();
}
