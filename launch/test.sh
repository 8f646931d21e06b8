#!/usr/bin/env bash
# Set-up, build, every test. Arguments go to ctest (for example: -L mpi, -R sharded).
# DIFFPROB_TEST_DATA: folder with data/lfw and data/formats, for tests on real faces (skipped with a reason without it).
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

./launch/setup.sh --test-packages
./launch/build.sh
ctest --preset release -j "$(nproc)" "$@"
