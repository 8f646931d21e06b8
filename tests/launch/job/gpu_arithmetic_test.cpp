// The settings themselves need no GPU.
#include "launch/job/gpu_arithmetic.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace diffprob::launch {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class GpuArithmetic : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"NCCL_ALGO", "NCCL_PROTO", "CUBLAS_WORKSPACE_CONFIG"})
      ::unsetenv(name);
    context_.setDeterministicCuDNN(false);
    context_.setDeterministicAlgorithms(false, false);
  }
  at::Context& context_ = at::globalContext();
  Config config_;
};

TEST_F(GpuArithmetic, FastUnlessAsked) {
  set_gpu_arithmetic(config_, kGpu);
  EXPECT_TRUE(context_.benchmarkCuDNN());
  EXPECT_FALSE(context_.deterministicCuDNN());
  EXPECT_TRUE(context_.allowTF32CuDNN());
  EXPECT_EQ(variable("NCCL_ALGO"), "");
  config_.train.precision = Precision::kFp32;
  set_gpu_arithmetic(config_, kGpu);
  EXPECT_FALSE(context_.allowTF32CuDNN());
}

TEST_F(GpuArithmetic, DeterministicChoosesNothingByTheClockOrTheMessageSize) {
  config_.train.deterministic = true;
  set_gpu_arithmetic(config_, kGpu);
  EXPECT_FALSE(context_.benchmarkCuDNN());
  EXPECT_TRUE(context_.deterministicCuDNN());
  EXPECT_TRUE(context_.deterministicAlgorithms());
  EXPECT_EQ(variable("NCCL_ALGO"), "Ring");
  EXPECT_EQ(variable("NCCL_PROTO"), "Simple");
  EXPECT_EQ(variable("CUBLAS_WORKSPACE_CONFIG"), ":4096:8");
}

TEST_F(GpuArithmetic, WhatTheUserHasSetStays) {
  ::setenv("NCCL_ALGO", "Tree", 1);
  config_.train.deterministic = true;
  set_gpu_arithmetic(config_, kGpu);
  EXPECT_EQ(variable("NCCL_ALGO"), "Tree");
}

TEST_F(GpuArithmetic, OnACpuNothingIsSet) {
  config_.train.deterministic = true;
  set_gpu_arithmetic(config_, c10::kCPU);
  EXPECT_FALSE(context_.deterministicCuDNN());
  EXPECT_EQ(variable("NCCL_ALGO"), "");
}

}  // namespace
}  // namespace diffprob::launch
