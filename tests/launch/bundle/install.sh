#!/usr/bin/env bash
# cmake --install into a prefix of its own, moved nowhere: what is there, and that it runs. install.sh CMAKE BUILD_FOLDER WORK_FOLDER.
set -euo pipefail
cmake=$1 build=$2 work=$3
rm -rf "$work"
mkdir -p "$work"
log=$work/log
die() { echo "FAILED: $*"; tail -n 20 "$log"; exit 1; }

"$cmake" --install "$build" --prefix "$work/usr" >"$log" 2>&1 || die "cmake --install"
for file in bin/diffprob share/diffprob/launch/environment.sh share/diffprob/launch/configs/quickstart.yaml share/doc/diffprob/README.md \
  share/doc/diffprob/LICENSE share/doc/diffprob/data/FORMATS.md share/doc/diffprob/prune/README.md share/doc/diffprob/launch/checkpoint/CHECKPOINT_FORMAT.md \
  share/doc/diffprob/launch/docs/training.md share/doc/diffprob/launch/docs/report.png share/doc/diffprob/launch/docs/architecture.svg \
  share/bash-completion/completions/diffprob share/zsh/site-functions/_diffprob share/man/man1/diffprob.1; do
  [ -s "$work/usr/$file" ] || die "no $file"
done
[ -z "$(find "$work/usr" -name '*.cpp' -o -name '*.h' -o -name '*.a' -o -name CMakeLists.txt)" ] || die "sources or build products were installed"

cd /
env -u LD_LIBRARY_PATH ldd "$work/usr/bin/diffprob" >"$log"
! grep -F 'not found' "$log" || die "libraries are missing"
! readelf -d "$work/usr/bin/diffprob" | grep -E 'RPATH|RUNPATH' | grep -F "$build" || die "the program looks for libraries in the build folder"
env -u LD_LIBRARY_PATH "$work/usr/bin/diffprob" info >"$log" 2>&1 || die "info"
grep -q '^diffprob [0-9]' "$log" || die "info says no version"
env -u LD_LIBRARY_PATH "$work/usr/bin/diffprob" config "$work/usr/share/diffprob/launch/configs/quickstart.yaml" >"$log" 2>&1 || die "config"
"$work/usr/bin/diffprob" config --help train >"$log" 2>&1 || die "config --help train"
grep -qF 'train.batch_size' "$log" || die "config --help train does not name train.batch_size"
code=0
"$work/usr/bin/diffprob" config --help nothing >"$log" 2>&1 || code=$?
[ "$code" -eq 2 ] || die "exit code $code for an unknown section, expected 2"
grep -q 'there are:.* train ' "$log" || die "the sections are not listed"
echo "installed $(find "$work/usr" -type f | wc -l) files"
