#!/usr/bin/env bash
# Installs what diffprob needs and is missing: Debian 12 packages and the pinned LibTorch wheel.
# Idempotent and quiet: when everything is there it needs neither network nor root.
#
#   ./launch/setup.sh                    install what is missing
#   ./launch/setup.sh --test-packages    also what only tests use: clang-format, clang-tidy, onnx and onnxruntime
#   ./launch/setup.sh --fuzz-packages    also clang, for tests/fuzz
#   ./launch/setup.sh --print-libtorch   also print the LibTorch folder on stdout (everything else goes to stderr)
#
# DIFFPROB_LIBTORCH=DIR   use this LibTorch (the folder with include/ and lib/) instead of the pinned wheel
# DIFFPROB_CACHE=DIR      where the wheel's virtual environment lives (default: ${XDG_CACHE_HOME:-~/.cache}/diffprob)
set -euo pipefail

readonly torch_version=2.11.0  # with what belongs to it in packaging/libtorch.txt
readonly numpy_version=2.2.6
readonly onnx_version=1.23.2
readonly onnxruntime_version=1.32.0
packages=(
  build-essential cmake ninja-build ccache pkg-config python3 python3-venv
  openmpi-bin libopenmpi-dev libopencv-dev libhdf5-dev libspdlog-dev libfmt-dev
  libgtest-dev libgmock-dev libyaml-cpp-dev libturbojpeg0-dev nlohmann-json3-dev libssl-dev
)
readonly test_packages=(clang-format-14 clang-tidy-16 clang-16)
readonly fuzz_packages=(clang-16 libclang-rt-16-dev)
readonly cache=${DIFFPROB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/diffprob}
readonly venv=$cache/torch-$torch_version

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

missing_packages() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null | awk '$1 == "ii" {print $2}') || true  # unknown ones: exit 1
  local name
  for name in "${packages[@]}"; do
    grep -qx -- "$name" <<<"$installed" || printf '%s\n' "$name"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null || { say "not a Debian system: make sure that these are installed: ${packages[*]}"; return; }
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -gt 0 ] || return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      die "neither root nor sudo. Ask your administrator for: apt-get install ${missing[*]}"
    fi
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get -q update &&
         "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install "${missing[@]}"; } \
       >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get failed; its whole output is in $log"
  fi
  rm -f "$log"
}

# The wheel is unpacked beside its final place and renamed, so that a broken download never looks complete.
install_libtorch() {
  [ -e "$venv/.complete" ] && return 0
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock -w 1800 9 || die "another setup has held $cache/.lock for 30 minutes"
  [ -e "$venv/.complete" ] && return 0
  say "installing LibTorch $torch_version (wheel from PyPI, about 4.7 GB on disk) into $venv"
  local log=$cache/pip.log wheels=(--require-hashes -r "$(dirname "$0")/packaging/libtorch.txt")
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "hashes are pinned for Python 3.11 and later, this is $(python3 -V): the wheels are installed by version alone"
    wheels=("torch==$torch_version" "numpy==$numpy_version")
  fi
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/python" -m pip -q --disable-pip-version-check install "${wheels[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "pip could not install torch==$torch_version; its whole output is in $log"
  fi
  touch "$venv/.complete"
}

# Where they cannot be had, the tests that need them are skipped with a reason.
install_test_packages() {
  local complete=$venv/.complete-onnx-$onnx_version-onnxruntime-$onnxruntime_version
  [ ! -e "$complete" ] || return 0
  exec 9>"$cache/.lock"
  flock -w 1800 9 || die "another setup has held $cache/.lock for 30 minutes"
  [ ! -e "$complete" ] || return 0
  say "installing onnx $onnx_version and onnxruntime $onnxruntime_version for the tests into $venv"
  local log=$cache/pip-tests.log
  if timeout 600 "$venv/bin/python" -m pip -q --disable-pip-version-check install \
       "onnx==$onnx_version" "onnxruntime==$onnxruntime_version" "numpy==$numpy_version" >"$log" 2>&1; then
    touch "$complete"
  else
    tail -n 5 "$log" >&2
    say "pip could not install them: tests that need them will be skipped; its whole output is in $log"
  fi
}

libtorch_folder() {
  if [ -n "${DIFFPROB_LIBTORCH:-}" ]; then
    [ -e "$DIFFPROB_LIBTORCH/include/torch/csrc/api/include/torch/torch.h" ] ||
      die "DIFFPROB_LIBTORCH=$DIFFPROB_LIBTORCH holds no include/torch/csrc/api/include/torch/torch.h"
    printf '%s\n' "$DIFFPROB_LIBTORCH"
  else
    local found=("$venv"/lib/python3*/site-packages/torch)
    printf '%s\n' "${found[0]}"
  fi
}

[ "${1:-}" != --test-packages ] || packages+=("${test_packages[@]}")
[ "${1:-}" != --fuzz-packages ] || packages+=("${fuzz_packages[@]}")
install_packages
[ -n "${DIFFPROB_LIBTORCH:-}" ] || install_libtorch
[ "${1:-}" != --test-packages ] || [ -n "${DIFFPROB_LIBTORCH:-}" ] || install_test_packages
folder=$(libtorch_folder)
[ "${1:-}" != --print-libtorch ] || printf '%s\n' "$folder"
