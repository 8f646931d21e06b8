#!/usr/bin/env bash
# Compiles every CUDA file for each architecture of the build and fails when a kernel spills registers to memory.
#   kernel_spills.sh NVCC SOURCE_FOLDER TORCH_INCLUDE ARCHITECTURE...
set -euo pipefail
nvcc=$1 source=$2 torch=$3
shift 3
report=$(mktemp)
trap 'rm -f "$report"' EXIT
spills=0
for file in "$source"/model/*/*.cu; do
  for architecture in "$@"; do
    "$nvcc" -std=c++17 -O3 --expt-relaxed-constexpr -arch="sm_$architecture" -Xptxas -v -I"$source" -isystem "$torch" -c "$file" -o /dev/null >"$report" 2>&1 ||
      { cat "$report"; exit 1; }
    kernels=$(grep -c 'spill stores' "$report" || true)
    most=$(grep -o 'Used [0-9]* registers' "$report" | sort -k2n | tail -n 1)
    printf '%s sm_%s: %s kernels, at most %s\n' "$(basename "$file")" "$architecture" "$kernels" "${most#Used }"
    if [ "$kernels" -eq 0 ]; then echo "no kernels found: has the compiler's report changed?"; exit 1; fi
    if grep 'spill stores' "$report" | grep -qv ' 0 bytes spill stores, 0 bytes spill loads'; then
      grep -B 1 'spill stores' "$report" | grep -v ' 0 bytes spill stores'
      spills=1
    fi
  done
done
exit $spills
