#!/usr/bin/env bash
# Scores and verification results are the same bytes for any number of ranks and threads, any batch and after a kill; so are the
# weights of two trainings on the same ranks. equal_results.sh PROGRAM WORK_FOLDER TABLE_DIFFERENCE_PROGRAM
# Runs at the level that tests/support/at_cpu_level.sh has set. A few combinations; DIFFPROB_CPU_LEVELS=all for every one.
set -euo pipefail
program=$1 work=$2 difference=$3
here=$(cd "$(dirname "$0")" && pwd)
score_batch=score.batch_per_rank
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
combinations=0 equal=0

die() { echo "FAILED: $*"; tail -n 30 "$log"; exit 1; }
launch() {  # RANKS THREADS COMMAND ARGUMENTS...
  local ranks=$1 threads=$2
  shift 2
  timeout 300 mpirun -np "$ranks" --oversubscribe --bind-to none "$program" "$1" config.yaml --threads="$threads" "${@:2}" >"$log" 2>&1
}
succeeds() { launch "$@" || die "exit code $?: $*"; }

# compare NAME REFERENCE FOUND HOW_TO_DIFFER...: counts, and says how much a differing file differs.
compare() {
  local name=$1 reference=$2 found=$3
  shift 3
  combinations=$((combinations + 1))
  if cmp -s "$reference" "$found"; then
    equal=$((equal + 1))
  else
    echo "  differs: $name: $("$@" "$reference" "$found" 2>&1 || echo "cannot be compared as numbers")"
  fi
}

train_twice() {  # RANKS THREADS
  local run file
  for run in first again; do succeeds "$1" "$2" train --data.train=few --output="$run$1"; done
  for file in "first$1"/checkpoints/step_*/*.pth; do
    compare "training, $1 ranks, $2 threads: $(basename "$file")" "$file" "again$1/${file#*/}" echo "bytes of"
  done
}

score() {  # OUTPUT RANKS THREADS BATCH [--key=value...]
  succeeds "$2" "$3" score --model.checkpoint="$network" --output="$1" --"$score_batch"="$4" "${@:5}"
}
verify() {  # OUTPUT RANKS THREADS BATCH
  succeeds "$2" "$3" eval --model.checkpoint="$network" --output="$1" --json="$1.json" --eval.batch_per_rank="$4" \
    --eval.sets=faces/synthetic_verification.bin --eval.ijb=IJBC --eval.ijb_variants=F1N1D1,F0N0D0
}

score_and_verify() {  # RANKS THREADS BATCH
  score found "$@"
  verify found_eval "$@"
  compare "scores, $1 ranks, $2 threads, batch $3" reference/scores.h5 found/scores.h5 "$difference"
  compare "verification, $1 ranks, $2 threads, batch $3" reference_eval.json found_eval.json python3 "$here/json_difference.py"
  rm -rf found found_eval
}

# score_killed OUTPUT: of 2 ranks, SIGKILL once a part is whole. Tried again when the scoring is over before.
score_killed() {
  local job victim
  for _ in $(seq 10); do
    rm -rf "$1"
    launch 2 1 score --model.checkpoint="$network" --output="$1" --"$score_batch"=7 --score.part_samples=7 &
    job=$!
    while kill -0 "$job" 2>/dev/null && ! ls "$1"/scores.parts/part.*-of-[0-9][0-9][0-9][0-9][0-9] >/dev/null 2>&1; do sleep 0.01; done
    victim=$(pgrep -n -f -- "--output=$1 " || true)  # a rank: mpirun is older
    [ -z "$victim" ] || kill -KILL "$victim" 2>/dev/null || true
    wait "$job" || true
    [ -e "$1/scores.h5" ] || return 0
  done
  die "the scoring was over before it could be killed"
}

"$program" data synth faces --synthetic.identities=40 --synthetic.images_per_identity=9 --synthetic.verification_pairs=150 >"$log" 2>&1 || die synth
"$program" data synth few --synthetic.identities=40 --synthetic.images_per_identity=2 --synthetic.verification_pairs=10 >"$log" 2>&1 || die synth
python3 "$here/../evaluate/small_ijb.py" faces IJBC 60
cat >config.yaml <<YAML
seed: 3
device: cpu
data: {train: faces, decode_threads: 1}
model: {backbone: tiny, embedding_dim: 128, scale: 32, margin: 0.1}
train: {epochs: 1, batch_size: 20, lr: 0.05, lr_reference_batch: 0, milestones: [1], tensorboard: false}
YAML

for ranks in 1 2; do train_twice "$ranks" 2; done
network=$(ls -d first1/checkpoints/step_* | tail -n 1)

score reference 1 1 64
verify reference_eval 1 1 64
if [ "${DIFFPROB_CPU_LEVELS:-}" = all ]; then
  for ranks in 1 2 3 4; do for threads in 1 2 3; do for batch in 1 7 64 500; do score_and_verify $ranks $threads $batch; done; done; done
else
  score_and_verify 1 2 500
  score_and_verify 2 3 64
  score_and_verify 3 1 7
  score_and_verify 4 2 1
fi
score_killed "$work/killed"
score "$work/killed" 3 2 7 --score.part_samples=7
compare "scores, killed on 2 ranks and resumed on 3" reference/scores.h5 killed/scores.h5 "$difference"

echo "level ${DIFFPROB_CPU_LEVEL:-native}: $combinations combinations, $equal equal; scores $(sha256sum <reference/scores.h5 | head -c 12)," \
  "verification $(sha256sum <reference_eval.json | head -c 12)"
[ "$combinations" -eq "$equal" ] || exit 1
cd / && rm -rf "$work"
