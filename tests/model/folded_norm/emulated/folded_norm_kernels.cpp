#include "tests/support/simt/emulated_gpu.h"

#include "model/folded_norm/gpu.cpp"
