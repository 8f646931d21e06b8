#include "tests/support/simt/emulated_gpu.h"

#include "model/folded_norm/folded_norm.cpp"
#include "model/folded_norm/gpu_ops.cpp"
#include "model/folded_norm/ops.cpp"
