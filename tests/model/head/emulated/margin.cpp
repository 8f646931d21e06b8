#include "tests/support/simt/emulated_gpu.h"

#include "model/margin/adaface.cpp"
#include "model/margin/angle.cpp"
#include "model/margin/curricular.cpp"
#include "model/margin/elastic.cpp"
#include "model/margin/fixed.cpp"
#include "model/margin/margin.cpp"
#include "model/margin/options.cpp"
