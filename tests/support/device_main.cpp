// main of tests without ranks that run on any device: see test_device.h.
#include <gtest/gtest.h>

#include "tests/support/device_guard.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return diffprob::tests::has_test_device() ? RUN_ALL_TESTS() : 0;
}
