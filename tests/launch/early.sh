#!/usr/bin/env bash
# Inputs that late stages need are checked before the first step, all in one message: early.sh DIFFPROB_PROGRAM WORK_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/program.sh"

exits 0 diffprob data synth faces --synthetic.identities=12 --synthetic.images_per_identity=8 --synthetic.verification_pairs=20
python3 - <<'PYTHON'
import pickle
with open("faces/synthetic_verification.bin", "rb") as file:
    images, same = pickle.load(file, encoding="bytes")
images = [bytes(image) for image in images]
pickle.dump((images[:6], list(same)[:3]), open("few.bin", "wb"), 4)
pickle.dump((images[:4] + [images[4][:200]] + images[5:], list(same)), open("bad.bin", "wb"), 4)
PYTHON
: >file
printf 'kept_index = []\n' >none.txt
network=(--device=cpu --threads=1 --model.backbone=tiny --model.embedding_dim=32 --data.decode_threads=0 --train.milestones= --train.epochs=1)

# Ten faults of different stages.
faults=("${network[@]}" --data.train=faces --train.batch_size=5000 --train.accumulate=7 --train.init=no.pth --eval.sets=few.bin,bad.bin,no.bin
  --train.best_set=agedb_30 --prune.method=aum --prune.dynamics=no.h5 --output=file --data.stage_dir=file --train.schedule=cosine --train.warmup_epochs=9)
for n in 1 3; do
  exits 2 ranks "$n" run "${faults[@]}" --dry-run
  says "config: 11 problems"
  for what in "train.batch_size: one global batch is 5000" "train.accumulate: train.batch_size is 5000" "train.init: no.pth is not there" \
    "few.bin has 3 pairs, fewer than eval.folds=10" "bad.bin: verification set bad, image 4" "no.bin is not there" "train.best_set: agedb_30" \
    "prune.dynamics: no.h5 is not there" "output: file is a file" "data.stage_dir:" "train.warmup_epochs:"; do
    says "$what"
    [ "$(grep -cF -- "$what" "$log")" -eq 1 ] || die "said more than once: $what"
  done
  exits 2 ranks "$n" run "${faults[@]}"
  says "config: 11 problems"
done

exits 2 ranks 3 train "${network[@]}" --data.train=faces --train.batch_size=16 --model.head_group=2 --output=out
says "model.head_group: is 2, expected a divisor of the number of ranks, 3,"
exits 0 diffprob train "${network[@]}" --data.train=faces --train.batch_size=16 --model.head_group=2 --output=out --dry-run
exits 2 diffprob train "${network[@]}" --data.train=faces --train.batch_size=16 --data.kept=none.txt --output=out --dry-run
says "none.txt keeps no samples"
exits 2 diffprob run "${network[@]}" --data.train=faces --train.batch_size=48 --prune.keep_ratio=0.25 --prune.min_kept=1 --output=out
says "prune.keep_ratio: 0.25 of"
exits 2 diffprob score "${network[@]}" --data.train=faces --output=out --dry-run
says "model.checkpoint: this command needs it"
exits 2 diffprob prune --prune.scores=no.h5 --output=out --dry-run
says "prune.scores: no.h5 is not there"
exits 2 diffprob prune --data.train=faces --prune.method=deep --prune.keep_ratio=0.5 --output=out
says "deep need only data.train and prune.clean=false"
exits 0 ranks 2 prune --data.train=faces --prune.method=deep --prune.keep_ratio=0.5 --prune.clean=false --prune.min_kept=1 --output=labels
says "deep keeps"
exits 0 ranks 3 train "${network[@]}" --data.train=faces --train.batch_size=16 --output=dry/run --dry-run
[ ! -e dry ] || die "a dry run left a folder"
