#!/usr/bin/env bash
# The report of the run that main_job.sh pipeline has made: report.sh DIFFPROB_PROGRAM WORK_FOLDER BASE_RUN.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2 base=$3
check=$here/check_report.py
rm -rf "$work" && mkdir -p "$work"
log=$work/log
. "$here/../program.sh"

holds() { python3 "$check" "$@" >"$work/holds" || die "$1"; }
count() { awk -v name="$1" '$1 == name {print $2}' "$work/holds"; }
sections=("Original and pruned" "Cleaning and pruning" "Face sheets" "Verification" "Training" "Time and memory" "Configuration")

# What the run itself has written, and the same again.
holds "$base/report.html" "${sections[@]}" "Labels that look wrong" untrained original random "planted near-duplicates" "What the pruning costs" "Identities:" synthetic_verification
[ "$(count sections)" -eq 8 ] || die "$(count sections) parts"
[ "$(count plots)" -ge 12 ] || die "$(count plots) plots"
[ "$(count faces)" -ge 40 ] || die "$(count faces) faces"
cp "$base/report.html" "$work/first.html"
exits 0 diffprob report "$base"
cmp "$base/report.html" "$work/first.html" || die "the same run gives another page"

# Two runs side by side; the other one has a hostile name and other settings.
other="$work/<i>other & run"
cp -r "$base" "$other"
sed -i 's/^seed: 3/seed: 4/' "$other/config.yaml"
exits 0 diffprob report "$base" "$other" --file="$work/two.html"
holds "$work/two.html" "${sections[@]}" "<i>other & run" "Configuration keys that differ"

# A run that was killed in its first training.
mkdir -p "$work/killed/train_original/checkpoints"
cp "$base/config.yaml" "$work/killed"
grep train_original "$base/metrics.jsonl" | head -n 5 >"$work/killed/metrics.jsonl"
printf '{"stage":"train_orig' >>"$work/killed/metrics.jsonl"
exits 0 diffprob report "$work/killed"
says "lines that are not metrics"
holds "$work/killed/report.html" "${sections[@]}" "not finished" "No pruning in this run" "Nothing is known of the labels" "No face sheets"

# Files cut in half, one after the other: left out, and said.
for file in metrics.jsonl summary.json config.yaml score/scores.h5 prune/index_set.h5 prune/summary.json train_original/stage.json \
  train_original/verification.json data/train.rec; do
  rm -rf "$work/broken"
  cp -r "$base" "$work/broken"
  truncate -s $(($(stat -c %s "$base/$file") / 2 + 1)) "$work/broken/$file"
  exits 0 diffprob report "$work/broken"
  case $file in config.yaml | data/train.rec) ;; *) says "note on broken" ;; esac
  holds "$work/broken/report.html" "${sections[@]}"
done

# Folders of one step, of nothing, and bad usage.
exits 0 diffprob report "$base/prune" --file="$work/prune.html"
holds "$work/prune.html" "What happened to the images" "No training in this run"
exits 1 diffprob report "$work/missing"
says "not the output folder of a run"
mkdir "$work/empty"
exits 1 diffprob report "$work/empty"
says "not the output of a diffprob run"
exits 2 diffprob report
says "diffprob report RUN"
exits 2 diffprob report "$base" --flie=x
