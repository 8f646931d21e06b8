#!/usr/bin/env bash
# Pruning while training (train.prune): epochs in the middle are shorter, the first and the last are whole; killed or stopped trainings end with the
# bytes of the unbroken one; with micro-steps and other samplings.
# epoch_pruning.sh PROGRAM WORK_FOLDER
set -euo pipefail
program=$1 work=$2
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
. "$here/job.sh"
arguments=(--train.epochs=8 --train.prune_until=0.75 --train.checkpoint_every=2 --train.batch_size=8 --model.sync_batch_norm=true --model.scale=16
  --train.lr=0.02 --train.trace_order=true)

# Batches of each epoch, from the log.
epochs_of() { sed -n 's/.*train.prune: epoch \([0-9]*\) trains on \([0-9]*\) of \([0-9]*\) images.*/\1:\2\/\3/p' "$1" | tr '\n' ' '; }

prepare  # 18 steps an epoch
for rule in infobatch identity; do
  start 2 "$work/whole_$rule" "${arguments[@]}" --train.prune="$rule"
  ends_with 0
  epochs=$(epochs_of "$log")
  [ "$(wc -w <<<"$epochs")" -eq 5 ] || die "$rule: expected shorter epochs 2 to 6, found: $epochs"
  for epoch in $epochs; do
    counts=${epoch#*:}
    [ "${counts%/*}" -lt "${counts#*/}" ] || die "$rule: epoch $epoch leaves nothing out"
  done
  step=00000024  # in the second epoch
  [ "$rule" = identity ] || step=00000044
  rm -rf "$work/broken"
  start 2 "$work/broken" "${arguments[@]}" --train.prune="$rule"
  for _ in $(seq 6000); do
    [ -e "$work/broken/checkpoints/step_$step/manifest.json" ] && break
    kill -0 "$job" 2>/dev/null || die "the training ended before it could be interrupted"
    sleep 0.01
  done
  kill -KILL "$(random_rank 2)"
  ends_with any
  [ "$job_code" -ne 0 ] || die "the training was over when the signal came"
  start 2 "$work/broken" "${arguments[@]}" --train.prune="$rule"
  ends_with 0
  grep -q ': continues ' "$log" || die "it did not continue"
  same_weights "$(last_checkpoint "$work/whole_$rule")" "$(last_checkpoint "$work/broken")"
done

start 1 "$work/micro" "${arguments[@]}" --train.prune=infobatch --train.accumulate=2
ends_with 0
for sampling in weighted balanced; do
  start 2 "$work/$sampling" "${arguments[@]}" --train.prune=infobatch --data.sampling="$sampling"
  ends_with 0
  [ -n "$(epochs_of "$log")" ] || die "$sampling: no epoch is shorter"
done
# A run made without it does not go on with it.
start 2 "$work/plain" "${arguments[@]}" --train.epochs=2
ends_with 0
start 2 "$work/plain" "${arguments[@]}" --train.epochs=2 --train.prune=infobatch
ends_with 2
grep -q 'train.prune' "$log" || die "the refusal does not name train.prune"

rm -rf "$work"
echo "passed: shorter epochs, the same bytes after kills, micro-steps, other samplings"
