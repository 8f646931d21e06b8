// On a pretended device, whose stream is kept busy.
#include "launch/job/run_ahead.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "dist/gpu/device.h"
#include "tests/support/fake_device.h"

namespace diffprob::launch {
namespace {

using namespace std::chrono_literals;

class RunAheadTest : public ::testing::Test {
 protected:
  void SetUp() override { dist::make_current(device_); }
  void TearDown() override {
    done_ = put_;
    stream().synchronize();
  }
  [[nodiscard]] c10::Stream stream() const {
    return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  }
  /// A step of the device: it ends when `done_` has got there.
  void put_step() {
    tests::enqueue_on_fake_stream(stream().native_handle(), [this, number = ++put_] {
      while (done_ < number) std::this_thread::sleep_for(1ms);
    });
  }

  c10::Device device_{tests::kFakeDevices, 3};
  std::atomic<int> done_ = 0;
  int put_ = 0;
};

TEST_F(RunAheadTest, TheHostIsTwoStepsAheadAtMost) {
  RunAhead ahead(device_, 30s);
  for (int step = 1; step <= 20; ++step) {
    int calls = 0;
    ahead.wait([&] {
      ++calls;
      done_ = step - 2;  // the device has done one step more: enough
    });
    EXPECT_EQ(calls > 0, step > 2) << step;
    EXPECT_GE(done_, step - 2);
    put_step();
    ahead.mark();
  }
}

TEST_F(RunAheadTest, ADeviceThatDoesNothingIsNotWaitedForForEver) {
  RunAhead ahead(device_, 100ms);
  for (int step = 0; step < 2; ++step) {
    ahead.wait([] {});
    put_step();
    ahead.mark();
  }
  EXPECT_THROW(ahead.wait([] {}), std::runtime_error);
  done_ = put_;
  stream().synchronize();
  ahead.wait([] { FAIL(); });
}

TEST(RunAhead, OnACpuNothingWaits) {
  RunAhead ahead(c10::kCPU, 1ms);
  for (int step = 0; step < 10; ++step) {
    ahead.wait([] { FAIL(); });
    ahead.mark();
  }
}

}  // namespace
}  // namespace diffprob::launch
