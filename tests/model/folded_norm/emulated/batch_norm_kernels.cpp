#include "tests/support/simt/emulated_gpu.h"

#include "model/batch_norm/gpu.cpp"
