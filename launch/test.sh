#!/usr/bin/env bash
# Set-up, build, every test. Arguments go to ctest (for example: -L mpi, -R sharded).
# DIFFPROB_TEST_DATA: folder with data/lfw and data/formats, for tests on real faces (skipped with a reason without it).
# DIFFPROB_FUZZ_SECONDS=60: first feeds every fuzz target (tests/fuzz) for so long; needs clang 16, installs it.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

./launch/setup.sh --test-packages
if [ -n "${DIFFPROB_FUZZ_SECONDS:-}" ]; then
  ./launch/setup.sh --fuzz-packages
  cmake --preset fuzz
  cmake --build --preset fuzz
  ctest --preset fuzz -j "$(nproc)"
fi
DIFFPROB_WERROR=ON ./launch/build.sh all benches  # nobody else would see that a benchmark no longer compiles
# Many tests wait for processes to start or for time to pass, so more of them than cores are run at once.
ctest --preset release -j "$(($(nproc) + 2))" "$@"
