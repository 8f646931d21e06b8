#include "tests/support/simt/emulated_gpu.h"

#include "model/softmax/score_kernels.cpp"
