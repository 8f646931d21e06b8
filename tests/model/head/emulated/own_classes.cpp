#include "tests/model/head/emulated/head_tests.h"

#include "tests/model/head/own_classes_test.cpp"
