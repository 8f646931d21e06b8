#include "tests/model/head/emulated/head_tests.h"

#include "tests/model/head_test_support.cpp"
