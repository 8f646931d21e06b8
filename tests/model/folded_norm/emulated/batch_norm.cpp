#include "tests/support/simt/emulated_gpu.h"

#include "model/batch_norm/batch_norm.cpp"
#include "model/batch_norm/context.cpp"
#include "model/batch_norm/gpu_ops.cpp"
#include "model/batch_norm/kernels.cpp"
#include "model/batch_norm/ops.cpp"
#include "model/batch_norm/saved_pass.cpp"
#include "model/batch_norm/statistics.cpp"
