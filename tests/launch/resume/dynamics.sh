#!/usr/bin/env bash
# Training dynamics with a history (train.record): killed or stopped trainings end with the bytes of the unbroken one; 1, 2 and 3 ranks, and a training
# moved from 2 to 3 ranks in mid-epoch, have the same numbers; recording changes no weight. Every sampling, incomplete last batches.
# dynamics.sh PROGRAM WORK_FOLDER TABLE_DIFFERENCE_PROGRAM
set -euo pipefail
program=$1 work=$2 difference=$3
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
. "$here/job.sh"
# A batch of 20 leaves some samples out of every epoch. Trainings of different numbers of ranks drift apart by rounding, as fast as the rate
# lets them: what is compared between them has hardly any.
arguments=(--train.epochs=12 --train.record=history --train.checkpoint_every=4 --train.batch_size=20 --model.sync_batch_norm=true
  --model.scale=16 --train.lr=1e-7)
trained=("${arguments[@]}" --train.lr=0.02)

within() {
  found=$("$difference" "$1" "$2") || die "$1 and $2 cannot be compared"
  awk -v d="$3" '{exit !($2 <= d && $4 <= d && $6 == 0)}' <<<"$found" || die "$2 differs from $1: $found"
}
same() { cmp "$1" "$2" || die "$2 does not have the bytes of the unbroken training"; }
# when_checkpoint STEP OUTPUT SIGNAL: to a random rank, once that checkpoint is there.
when_checkpoint() {
  local victim
  victim=$(random_rank 2)
  for _ in $(seq 6000); do
    [ -e "$2/checkpoints/step_$1/manifest.json" ] && break
    kill -0 "$job" 2>/dev/null || die "the training ended before it could be interrupted"
    sleep 0.01
  done
  kill "-$3" "$victim" || die "rank $victim is gone"
}

prepare 6  # 3 steps an epoch
for n in 1 2 3; do
  start "$n" "$work/w$n" "${arguments[@]}"
  ends_with 0
done
agree=""
for n in 2 3; do
  within "$work/w1/dynamics.h5" "$work/w$n/dynamics.h5" 3e-5
  agree+=" $n ranks: $found;"
done

start 2 "$work/stopped" "${arguments[@]}"
when_checkpoint 00000020 "$work/stopped" USR1
ends_with 75
for n in 3 1; do
  cp -r "$work/stopped" "$work/moved$n"
  start "$n" "$work/moved$n" "${arguments[@]}"
  ends_with 0
  grep -q ': continues ' "$log" || die "it did not continue"
  within "$work/w1/dynamics.h5" "$work/moved$n/dynamics.h5" 3e-5
  agree+=" 2 ranks moved to $n: $found;"
done

start 2 "$work/whole" "${trained[@]}"
ends_with 0
start 2 "$work/plain" "${trained[@]}" --train.record=false
ends_with 0
for file in "$(last_checkpoint "$work/plain")"/*.pth; do
  cmp "$file" "$(last_checkpoint "$work/whole")/$(basename "$file")" || die "recording changed $(basename "$file")"
done
for step in 00000008 00000020 00000028; do
  signal=KILL
  [ "$step" = 00000020 ] && signal=USR1
  rm -rf "$work/broken"
  start 2 "$work/broken" "${trained[@]}"
  when_checkpoint "$step" "$work/broken" "$signal"
  ends_with any
  [ "$job_code" -ne 0 ] || die "the training was over when the signal came"
  start 2 "$work/broken" "${trained[@]}"
  ends_with 0
  grep -q ': continues ' "$log" || die "it did not continue"
  same "$work/whole/dynamics.h5" "$work/broken/dynamics.h5"
done

# Draws with replacement: visits are merged, samples that no epoch had are recorded at the end.
for sampling in weighted balanced; do
  for n in 1 2; do
    start "$n" "$work/$sampling$n" "${arguments[@]}" --data.sampling="$sampling" --train.epochs=1
    ends_with 0
    grep -q 'samples were in no epoch: recorded with the trained network' "$log" || die "$sampling: no sample was left out"
  done
  within "$work/${sampling}1/dynamics.h5" "$work/${sampling}2/dynamics.h5" 3e-5
  agree+=" $sampling, 2 ranks: $found;"
done

rm -rf "$work"
echo "passed:$agree stopped, and killed at two points: the same bytes; recording changed no weight"
