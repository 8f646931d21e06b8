#!/usr/bin/env bash
# Every source is as clang-format 14 (Debian 12) writes it by .clang-format: format.sh ROOT. To mend: clang-format-14 -i FILE.
set -euo pipefail
cd "$1"
command -v clang-format-14 >/dev/null || { echo "skipped: no clang-format-14; ./launch/setup.sh --test-packages installs it"; exit 77; }
mapfile -t files < <(find dist data model prune eval launch tests -path tests/fuzz/corpus -prune -o -name '*.h' -print -o -name '*.cpp' -print -o -name '*.cu' -print)
[ "${#files[@]}" -gt 0 ] || { echo "no sources in $1"; exit 1; }
printf '%s\0' "${files[@]}" | xargs -0 -P 2 -n 100 clang-format-14 --dry-run -Werror
echo "${#files[@]} files are formatted"
