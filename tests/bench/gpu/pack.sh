#!/usr/bin/env bash
# Packs the program, the tests of the label gpu and the GPU benchmarks with the libraries that a bare machine with CUDA 13 and PyTorch 2.11
# lacks, into build/gpu/pack.tar.xz (at most 64 MiB; plain JPEG alone). There, in a checkout of the same commit with that file:
#   tests/bench/gpu/run.sh tests          all gpu tests
#   tests/bench/gpu/run.sh benches        all benchmarks (--quick: a few of each)
set -euo pipefail
cd "$(dirname "$0")/../../.."
source launch/environment.sh
readonly limit=$((64 << 20))

./launch/bundle.sh --output build/gpu/bundle.tar.gz
cmake --preset gpu >build/gpu-configure.log
cmake --build --preset gpu -j "${DIFFPROB_JOBS:-$(nproc)}" | tail -n 1
stage=build/gpu/pack
rm -rf "$stage"
mkdir -p "$stage"
tar -C "$stage" --strip-components=1 -xzf build/gpu/bundle.tar.gz
rm build/gpu/bundle.tar.gz
while read -r program; do
  strip -o "$stage/libexec/diffprob/$program" "build/gpu/bin/$program"
  patchelf --set-rpath "\$ORIGIN/../../lib" "$stage/libexec/diffprob/$program"
  cp launch/bundle/start.sh "$stage/bin/$program"
done <build/gpu/gpu_programs.txt
cp build/gpu/gpu_programs.txt "$stage/"
tar -C build/gpu --owner=0 --group=0 --sort=name -cf - pack | xz -T0 -5 >build/gpu/pack.tar.xz
size=$(stat -c %s build/gpu/pack.tar.xz)
printf 'build/gpu/pack.tar.xz: %s MiB\n' "$((size >> 20))"
[ "$size" -le "$limit" ] || { echo "pack.sh: more than 64 MiB" >&2; exit 1; }
