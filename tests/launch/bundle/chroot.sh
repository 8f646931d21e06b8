#!/usr/bin/env bash
# A bundle in an empty Debian 12, where nothing was installed for it: info, data synth, the whole job on 2 ranks by the bundle's own mpirun,
# pruning, verification, refusals. A person runs it: it needs root, a Debian mirror and debootstrap.
#
#   DIFFPROB_TEST_CHROOT=1 tests/launch/bundle/chroot.sh [BUNDLE.tar.gz | FOLDER]
#
# BUNDLE.tar.gz or its folder   default: the one that launch/bundle.sh made
# DIFFPROB_CHROOT_WORK=DIR      where the Debian goes (default: build/chroot; about 400 MB); a debian in it is used again
# DIFFPROB_DEBIAN_MIRROR=URL    default: http://deb.debian.org/debian
# LibTorch is mounted into it, read-only, unless the bundle has its own; all mounts are in a mount namespace that ends with the script.
set -euo pipefail
cd "$(dirname "$0")/../../.."

skip() { echo "skipped: $*"; exit 77; }
[ -n "${DIFFPROB_TEST_CHROOT:-}" ] || skip "set DIFFPROB_TEST_CHROOT=1: it needs root and a Debian mirror"
[ "$(id -u)" -eq 0 ] || skip "needs root (chroot, mount)"
command -v debootstrap >/dev/null || skip "no debootstrap (apt-get install debootstrap)"
if [ -z "${DIFFPROB_CHROOT_INSIDE:-}" ]; then
  exec env DIFFPROB_CHROOT_INSIDE=1 unshare --mount --propagation private "$0" "$@"
fi

die() { echo "FAILED: $*" >&2; exit 1; }
made=(build/bundle/*.tar.gz)
bundle=${1:-${made[-1]}}
[ -e "$bundle" ] || die "no bundle $bundle: run launch/bundle.sh"
work=${DIFFPROB_CHROOT_WORK:-$PWD/build/chroot}
root=$work/debian
log=$work/log
mkdir -p "$work"

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DIFFPROB_LIBTORCH="${libtorch_inside-}" "$@" >"$log" 2>&1; }
helped() { ! grep -qiE "open the help file|couldn't open" "$log" || { tail -n 30 "$log" >&2; die "Open MPI or PMIx does not find its help texts"; }; }
exits() { local wanted=$1 code=0; shift; inside "$@" || code=$?; [ "$code" -eq "$wanted" ] || { tail -n 30 "$log" >&2; die "exit code $code, expected $wanted: $*"; }; }
says() { grep -qE -- "$1" "$log" || { tail -n 30 "$log" >&2; die "the output does not say: $1"; }; }
shell() { printf '%s\n' "cd $home && . launch/environment.sh && $1"; }
step() { echo "chroot: $*"; }

make_debian() {
  if [ ! -e "$work/debian.complete" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase bookworm "$root" "${DIFFPROB_DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$log" 2>&1 || { tail -n 5 "$log" >&2; die "debootstrap"; }
    touch "$work/debian.complete"
  fi
  rm -rf "$root/opt" "$root/job"
  mkdir -p "$root/opt" "$root/job"
  step "$(chroot "$root" dpkg-query -f '.\n' -W | wc -l) Debian packages, of them that the program would need: $(chroot "$root" dpkg-query -f '${Package}\n' -W | grep -cE 'openmpi|opencv|hdf5|turbojpeg|yaml-cpp|spdlog|fmt|pmix|hwloc' || true)"
}

mount_all() {
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
}

# $root/opt/NAME first, then moved: it must not matter where it lies.
unpack() {
  if [ -d "$bundle" ]; then cp -a "$bundle" "$root/opt/"; else tar -C "$root/opt" -xzf "$bundle"; fi
  local name
  name=$(basename "$root"/opt/diffprob-*)
  mv "$root/opt/$name" "$root/opt/moved"
  home=/opt/moved
  if [ ! -e "$root/opt/moved/libtorch" ]; then
    local torch
    torch=$(./launch/setup.sh --print-libtorch)
    libtorch_inside=/job/site/torch
    mkdir -p "$root/job/site"
    mount --bind "$(dirname "$torch")" "$root/job/site"
    mount -o remount,bind,ro "$root/job/site"
  fi
}

# A PNG of one pixel and a JPEG of nothing but its first bytes: pictures that the bundle must refuse.
bad_pictures() {
  local person
  for person in a b; do
    mkdir -p "$root/job/png/$person"
    base64 -d >"$root/job/png/$person/1.png" <<<'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    cp "$root/job/png/$person/1.png" "$root/job/png/$person/2.png"
  done
}

started=$SECONDS
make_debian
mount_all
unpack
[ ! -e "$root/usr/bin/mpirun" ] || die "there is an mpirun in the Debian"

step "libraries"
torch_inside=${libtorch_inside:-$home/libtorch}
exits 0 sh -c "cd $home && ldd libexec/diffprob/mpirun libexec/diffprob/orted &&
  LD_LIBRARY_PATH=$home/lib:\$(echo $torch_inside/lib $torch_inside/../nvidia/*/lib | tr ' ' :) ldd libexec/diffprob/diffprob lib/x86_64-linux-gnu/openmpi/lib/*/*.so"
! grep -F 'not found' "$log" || die "libraries are missing"
outside=$(awk '$2 == "=>" {print $3}' "$log" | grep -vE "^/opt/moved/|^/job/site/|^libexec/" | xargs -n 1 basename | sort -u | tr '\n' ' ')
step "  from the Debian itself: $outside"
! grep -qvE '^(libc|libm|libdl|librt|libpthread|libresolv|libutil)\.so\.[0-9]+$' <<<"$(tr ' ' '\n' <<<"$outside" | grep .)" || die "more than the C library comes from outside"

step "info"
if [ -n "${libtorch_inside-}" ]; then
  exits 2 env -u DIFFPROB_LIBTORCH $home/bin/diffprob info
  says 'Set DIFFPROB_LIBTORCH'
fi
exits 0 $home/bin/diffprob info
says '^diffprob [0-9]'
exits 0 sh -c "mkdir -p /usr/local/bin && ln -sf $home/bin/diffprob /usr/local/bin/diffprob && diffprob --version && rm /usr/local/bin/diffprob"

step "data synth"
exits 0 $home/bin/diffprob data synth /job/faces --synthetic.identities=12 --synthetic.images_per_identity=12 --synthetic.verification_pairs=40 --synthetic.verification_identities=8
says 'identities   12'

step "the whole job, 2 ranks"
job='launch/configs/quickstart.yaml --synthetic.identities=12 --synthetic.images_per_identity=12 --synthetic.verification_pairs=40 --synthetic.verification_identities=8 --model.embedding_dim=32 --train.epochs=2 --train.batch_size=24 --train.milestones=1'
exits 0 sh -c "$(shell "bin/mpirun -np 2 --bind-to none --oversubscribe bin/diffprob run $job --output=/job/run")"
says 'rank|ranks'
helped
[ -s "$root/job/run/report.html" ] || die "no report.html"

step "prune and eval as commands of their own, 2 ranks"
exits 0 sh -c "$(shell 'bin/mpirun -np 2 --bind-to none --oversubscribe bin/diffprob prune --prune.scores=/job/run/score/scores.h5 --prune.clean=false --prune.keep_ratio=0.5 --output=/job/pruned')"
[ -s "$root/job/pruned/kept_index.txt" ] || die "no kept_index.txt"
network=$(chroot "$root" sh -c 'ls -d /job/run/train_original/checkpoints/step_* | tail -n 1')
exits 0 sh -c "$(shell "bin/mpirun -np 2 --bind-to none --oversubscribe bin/diffprob eval --model.checkpoint=$network --eval.sets=/job/faces/synthetic_verification.bin --output=/job/eval")"
[ -s "$root/job/eval/eval.json" ] || die "no eval.json"

step "a PNG is refused with what to do"
bad_pictures
exits 1 sh -c "$(shell "bin/mpirun -np 2 --bind-to none --oversubscribe bin/diffprob train $job --data.train=/job/png --train.batch_size=4 --eval.sets=/job/faces/synthetic_verification.bin --output=/job/refused")"
says 'DIFFPROB_WITH_IMGCODECS'
helped

step "a failed rank: the help texts of Open MPI are found"
! inside sh -c "$(shell 'bin/mpirun -np 2 --oversubscribe /no/such/program')" || die "mpirun started what is not there"
says 'mpirun was unable to|could not access|executable'
helped

echo "chroot: passed in $((SECONDS - started)) s: $(basename "$bundle"), $(du -sb "$bundle" | cut -f1) bytes, on $(chroot "$root" ldd --version | head -n 1)"
