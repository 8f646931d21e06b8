#!/usr/bin/env bash
# Feeds the fuzz targets for a while, from the committed corpus: run.sh FOLDER_OF_TARGETS NAME...; prints executions, coverage and findings.
# Exit code 1 and the input's path when a target ended: a crash, a sanitizer's report, 10 s on one input, 2 GiB, or an error that is not the
# reader's own.
#
#   cmake --preset fuzz && cmake --build --preset fuzz && tests/fuzz/run.sh build/fuzz/bin records pth
#
# DIFFPROB_FUZZ_TIMEOUT=SECONDS: on a machine that is busy with other things, more than the 10 s for one input.
# DIFFPROB_FUZZ_SECONDS=60 for each, DIFFPROB_FUZZ_FOUND=FOLDER keeps new inputs and findings there (else a temporary folder, findings are kept).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
programs=$1
shift
found=${DIFFPROB_FUZZ_FOUND:-$(mktemp -d)}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1} OMP_NUM_THREADS=1
failed=0
for name in "$@"; do
  leaks=1
  # LeakSanitizer needs ptrace, which some containers forbid: then even a run over nothing fails.
  if ! ASAN_OPTIONS=detect_leaks=1 "$programs/fuzz_$name" -runs=0 >/dev/null 2>&1; then
    echo "$name: LeakSanitizer cannot run here, leaks are not looked for"
    leaks=0
  fi
  [ "$name" != hdf5 ] || leaks=0  # libhdf5 1.10 itself loses some 100 bytes where it refuses a file (seen inside H5Dread)
  mkdir -p "$found/$name" "$found/crashes"
  if ASAN_OPTIONS=detect_leaks=$leaks "$programs/fuzz_$name" -detect_leaks=$leaks -max_total_time="${DIFFPROB_FUZZ_SECONDS:-60}" \
    -timeout="${DIFFPROB_FUZZ_TIMEOUT:-10}" -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=65536 -print_final_stats=1 -close_fd_mask=1 -artifact_prefix="$found/crashes/$name-" \
    "$found/$name" "$here/corpus/$name" >"$found/$name.log" 2>&1; then
    result="no finding"
  else
    result="FINDING, see $found/$name.log and $found/crashes"
    failed=1
  fi
  runs=$(sed -nE 's/^stat::number_of_executed_units: *//p' "$found/$name.log")
  coverage=$(grep -oE 'cov: [0-9]+' "$found/$name.log" | tail -n 1 || true)
  echo "$name: ${runs:-?} executions, ${coverage:-cov: ?} edges, $result"
  [ "$result" = "no finding" ] || grep -m 3 -E 'ERROR|SUMMARY|does not name|runtime error' "$found/$name.log" || true
done
[ "$failed" -ne 0 ] || [ -n "${DIFFPROB_FUZZ_FOUND:-}" ] || rm -rf "$found"
exit "$failed"
