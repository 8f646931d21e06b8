#!/usr/bin/env bash
# SIGKILL of a random rank at a random time, then the same command again: the final weights, momenta and BatchNorm statistics of both ranks
# are those of the unbroken run, byte by byte. kill_points.sh PROGRAM WORK_FOLDER [RANKS [ARGUMENTS...]]; DIFFPROB_KILL_POINTS: how many (3), DIFFPROB_KILL_SEED.
set -euo pipefail
program=$1 work=$2 ranks=${3:-2}
shift $(($# < 3 ? $# : 3))
points=${DIFFPROB_KILL_POINTS:-3}
seed=${DIFFPROB_KILL_SEED:-$$}
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
. "$here/job.sh"
RANDOM=$seed
arguments=(--train.epochs=8 --train.checkpoint_every=2 "$@")

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

prepare
begin=$(milliseconds)
start "$ranks" "$work/whole" "${arguments[@]}"
ends_with 0
whole_ms=$(($(milliseconds) - begin))
whole=$(last_checkpoint "$work/whole")

killed=0 continued=0 tries=0
while [ "$killed" -lt "$points" ]; do
  tries=$((tries + 1))
  [ "$tries" -le $((points * 5 + 10)) ] || die "the job always ended before it could be killed"
  rm -rf "$work/killed"
  start "$ranks" "$work/killed" "${arguments[@]}"
  sleep "$(awk -v ms=$((RANDOM * whole_ms / 32768)) 'BEGIN {printf "%.3f", ms / 1000}')"
  victim=$(random_rank "$ranks")
  if [ -z "$victim" ] || ! kill -KILL "$victim" 2>/dev/null; then
    ends_with any
    continue
  fi
  ends_with any
  [ "$job_code" -ne 0 ] || continue  # training was over when the signal came
  killed=$((killed + 1))
  found=$(find "$work/killed/checkpoints" -maxdepth 1 -name 'step_*[0-9]' 2>/dev/null | sort | tail -n 1 || true)
  half=$(find "$work/killed/checkpoints" -maxdepth 1 -name '*.tmp.*' 2>/dev/null | wc -l || true)
  start "$ranks" "$work/killed" "${arguments[@]}"
  ends_with 0
  grep -q ': continues ' "$log" && continued=$((continued + 1))
  same_weights "$whole" "$(last_checkpoint "$work/killed")"
  echo "kill $killed: had ${found:+$(basename "$found")}, $half half-written; equal"
done
rm -rf "$work"
echo "passed: $killed kills of a random rank (seed $seed), $continued continued from a checkpoint, final weights equal to the unbroken run"
