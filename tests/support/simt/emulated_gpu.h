#pragma once

// Before sources of model/batch_norm and model/folded_norm: compiles them a second time, under
// another name, for a machine whose GPU is the host. Tensors on the CPU are then taken for a GPU's,
// and kernels are those that as_host_code.py has made.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "dist/communicator.h"
#include "dist/reducer/gradient_places.h"
#include "tests/support/simt/simt.h"

struct CUstream_st;

#define model emulated_model
#define is_cuda is_cpu
