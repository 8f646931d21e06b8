#include "tests/support/simt/emulated_gpu.h"

#include "model/kernels/block_workers.cpp"
#include "model/optim/optimizer.cpp"
#include "model/optim/sgd.cpp"
