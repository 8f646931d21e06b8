#include "tests/support/simt/emulated_gpu.h"

#include "model/softmax/kernels.cpp"
