#include "launch/observe/memory_use.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "dist/gpu/device.h"
#include "tests/support/fake_device.h"

namespace diffprob::launch {
namespace {

const c10::Device kDevice(tests::kFakeDevices, 2);

struct GivesBack {
  ~GivesBack() { give_back_kept_memory(kDevice); }
};

TEST(GiveBackKeptMemory, AsksTheDevice) {
  dist::make_current(kDevice);
  const int before = tests::times_fake_memory_was_given_back();
  give_back_kept_memory(kDevice);
  EXPECT_EQ(tests::times_fake_memory_was_given_back(), before + 1);
  give_back_kept_memory(c10::kCPU);
  EXPECT_EQ(tests::times_fake_memory_was_given_back(), before + 1);
}

/// Behind a collective that hangs, it would wait for the device until somebody else ends the
/// process.
TEST(GiveBackKeptMemory, DoesNotAskADeviceThatMayHang) {
  const int before = tests::times_fake_memory_was_given_back();
  try {
    const GivesBack owner;
    throw std::runtime_error("a collective failed");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(tests::times_fake_memory_was_given_back(), before);
}

}  // namespace
}  // namespace diffprob::launch
