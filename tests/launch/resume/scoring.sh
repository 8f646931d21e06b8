#!/usr/bin/env bash
# Scorings of 1, 2 and 3 ranks have the same bytes, and so have one that is killed (SIGKILL) at three points, one with a damaged part, and
# one killed on 1 rank and continued on 3 with another batch. scoring.sh PROGRAM WORK_FOLDER [KIND]
# KIND: scores (of the trained head), centroids (class centres from embeddings), embeddings (no scores: `diffprob embed`).
set -euo pipefail
program=$1 work=$2 kind=${3:-scores}
case $kind in
  scores) command=(score) says=score file=scores.h5 foreign=(--score.margin=0.1) difference='margin 0.0, expected 0.1' ;;
  centroids) # embeddings are not kept, so that the pass that is killed takes its time
    command=(score --score.head=centroids --score.keep_gib=0) says=score file=scores.h5 foreign=(--score.margin=0.1)
    difference='margin 0.0, expected 0.1' ;;
  embeddings) command=(embed) says=embed file=embeddings.h5 foreign=(--embed.mirror=true) difference='columns 32, expected 64' ;;
esac
parts=${file%.h5}.parts
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
. "$here/job.sh"

# score RANKS OUTPUT: in the background, like start(); a part every 24 images (32 with two ranks, whose batches are of 16).
score() {
  local ranks=$1 output=$2
  shift 2
  mpirun -np "$ranks" --oversubscribe --bind-to none "$program" "${command[@]}" "$work/config.yaml" --model.checkpoint="$network" --output="$output" \
    --score.batch_per_rank=8 --score.part_samples=24 "$@" >"$log" 2>&1 &
  job=$!
}
whole_parts() { find "$1/$parts" -name "part.*-of-[0-9][0-9][0-9][0-9][0-9]" 2>/dev/null | wc -l || true; }
# What the passes took so far is written after a part, so that a kill between the two finds none beside the first.
costs_are_kept() { [ "$kind" = embeddings ] || grep -qs '"seconds": *[0-9.]*[1-9]' "$1/$parts/cost.json"; }
# kill_after PARTS RANKS OUTPUT: SIGKILL of a random rank once so many files of parts are there.
kill_after() {
  local wanted=$1 ranks=$2 output=$3 victim
  victim=$(random_rank "$ranks")
  for _ in $(seq 6000); do
    [ "$(whole_parts "$output")" -ge "$wanted" ] && costs_are_kept "$output" && break
    kill -0 "$job" 2>/dev/null || die "the scoring ended before it could be killed"
    sleep 0.01
  done
  kill -KILL "$victim" || die "rank $victim is gone"
  ends_with any
  [ "$job_code" -ne 0 ] || die "the scoring was over when the signal came"
  [ ! -e "$output/$file" ] || die "a killed scoring left $file"
  costs_are_kept "$output" || die "what it took so far is not kept"
}
same() { cmp "$1" "$2" || die "$2 does not have the bytes of the unbroken scoring"; }

prepare 36
start 2 "$work/train" --train.epochs=2
ends_with 0
network=$(last_checkpoint "$work/train")

for n in 1 2 3; do
  score "$n" "$work/w$n"
  ends_with 0
  [ ! -e "$work/w$n/$parts" ] || die "parts were left behind"
done
for n in 2 3; do same "$work/w1/$file" "$work/w$n/$file"; done

score 2 "$work/again" --score.part_samples=0
ends_with 0
same "$work/w2/$file" "$work/again/$file"

for files in 2 7 13; do
  rm -rf "$work/killed"
  score 2 "$work/killed"
  kill_after "$files" 2 "$work/killed"
  score 2 "$work/killed"
  ends_with 0
  grep -q "$says: resumes after" "$log" || die "it did not go on from the parts"
  [ ! -e "$work/killed/$parts" ] || die "parts were left behind"
  same "$work/w2/$file" "$work/killed/$file"
  echo "killed with $files files of parts: the same bytes; $(grep -o 'resumes after.*' "$log" | head -n 1)"
done

score 1 "$work/moved"
kill_after 6 1 "$work/moved"
cp -r "$work/moved" "$work/damaged"
score 3 "$work/moved" --score.batch_per_rank=20
ends_with 0
grep -q "$says: resumes after" "$log" || die "it did not go on from the parts of one rank"
same "$work/w1/$file" "$work/moved/$file"
echo "killed on 1 rank, continued on 3: the same bytes"

victim=$(find "$work/damaged/$parts" -name "part.*-of-[0-9][0-9][0-9][0-9][0-9]" | sort | sed -n 2p)
printf 'X' | dd of="$victim" bs=1 seek=700 conv=notrunc 2>/dev/null
cp -r "$work/damaged" "$work/foreign"
score 1 "$work/damaged"
ends_with 0
grep -q "$(basename "$victim") is corrupted" "$log" || die "the damaged part is not named"
[ -e "$victim.damaged" ] || die "the damaged part was not left aside"
same "$work/w1/$file" "$work/damaged/$file"

score 1 "$work/foreign" "${foreign[@]}"
ends_with 0
grep -q "belongs to another run, renamed to \*.foreign: $difference" "$log" || die "the foreign parts are not named"
score 1 "$work/with_margin" "${foreign[@]}"
ends_with 0
cmp "$work/with_margin/$file" "$work/foreign/$file" || die "foreign parts were used"

rm -rf "$work"
echo "passed: 1 to 3 ranks, 4 kills, a damaged part, parts of another $kind: the same bytes as unbroken"
