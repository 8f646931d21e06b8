#include "tests/support/simt/emulated_gpu.h"

#include "model/softmax/chunk_softmax.cpp"
#include "model/softmax/class_sampler.cpp"
#include "model/softmax/gpu_ops.cpp"
#include "model/softmax/keyed_hash.cpp"
#include "model/softmax/row_norms.cpp"
#include "model/softmax/step_classes.cpp"
