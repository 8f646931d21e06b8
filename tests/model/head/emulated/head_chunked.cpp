#include "tests/model/head/emulated/head_tests.h"

#include "tests/model/head/head_chunked_test.cpp"
