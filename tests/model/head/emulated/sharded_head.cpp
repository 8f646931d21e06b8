#include "tests/model/head/emulated/head_tests.h"

#include "tests/model/head/sharded_head_test.cpp"
