#pragma once

// Before tests of the head: compiles them for the head as a GPU runs it, on the host.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/functional/normalization.h>

#include "tests/support/golden.h"
#include "tests/support/test_device.h"

#include "tests/support/simt/emulated_gpu.h"
