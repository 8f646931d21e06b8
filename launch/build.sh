#!/usr/bin/env bash
# Sets up what is missing and builds build/release. Arguments go to the build tool (targets). DIFFPROB_WERROR=ON: warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."
libtorch=$(./launch/setup.sh --print-libtorch)
cmake --preset release -DDIFFPROB_LIBTORCH="$libtorch" ${DIFFPROB_WERROR:+"-DDIFFPROB_WERROR=$DIFFPROB_WERROR"} >build-configure.log 2>&1 || { tail -n 30 build-configure.log >&2; exit 1; }
rm -f build-configure.log
cmake --build --preset release -- "$@"
