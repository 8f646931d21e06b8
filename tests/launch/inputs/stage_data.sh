#!/usr/bin/env bash
# Training from a staged copy through the real program: stage_data.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

train() {
  local out=$1; shift
  timeout 200 mpirun -np 2 --oversubscribe --bind-to none "$program" train --data.train=faces --model.backbone=tiny --model.embedding_dim=16 \
    --train.epochs=1 --train.batch_size=16 --output="$out" "$@" >"$log" 2>&1
}

"$program" data synth faces --synthetic.identities=6 --synthetic.images_per_identity=8 --synthetic.verification_pairs=10 >"$log" 2>&1 || die synth
train plain || die "training without a copy"
train first --data.stage_dir=local || die "training from a copy"
says "staged faces: "
copy=$(ls -d local/faces-????????????????)
cmp faces/train.rec "$copy/train.rec" || die "the copy is another one"
train second --data.stage_dir=local || die "training from the copy that is there"
says "(0.0 MiB copied, the rest was already there)"
for run in first second; do
  for file in plain/checkpoints/step_*/backbone.pth; do cmp "$file" "$run/${file#plain/}" || die "$run gives another network"; done
done
: >in_the_way
if train third --data.stage_dir=in_the_way/local; then die "a stage_dir that cannot be made is no error"; fi
says "data.stage_dir: "; says "in_the_way is a file, expected a folder"
echo "staging: all as expected"
