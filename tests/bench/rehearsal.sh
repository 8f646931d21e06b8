#!/usr/bin/env bash
# A set with the counts of WebFace42M (42,474,557 samples, 2,059,906 identities, long-tailed) made of small JPEGs, and every stage that needs no network
# on it: time and peak memory of each.
#
#   tests/bench/rehearsal.sh [--scale=0.1] [--shards=2]        --scale=1 needs 44 GB of disk
#
# The set is SHARDS record files that are used as one. No two images are the same bytes, but for every 1000th, whose copy data check must find. Scores
# and training dynamics are made up. Wrong results end it; so does a report of more than 5 MB. Table on stdout, JSON lines in OUT/table.jsonl.
# OUT=FOLDER keeps everything there (else it is removed), and leaves out the stages that OUT/table.jsonl has. RANKS=2, BUILD=build/release.
set -euo pipefail
cd "$(dirname "$0")/../.."
source launch/environment.sh

scale=0.1 shards=2
for word in "$@"; do
  case "$word" in
    --scale=*) scale=${word#*=} ;;
    --shards=*) shards=${word#*=} ;;
    *) echo "rehearsal.sh: unknown argument $word; see the top of this file" >&2; exit 2 ;;
  esac
done
build=${BUILD:-build/release} ranks=${RANKS:-2}
program=$build/diffprob bench=$build/bin/rehearsal_bench
[ -x "$bench" ] || { echo "rehearsal.sh: $bench is missing: ninja -C $build rehearsal_bench" >&2; exit 2; }
read -r samples identities < <(awk -v s="$scale" 'BEGIN { printf "%d %d\n", 42474557 * s, 2059906 * s }')
out=${OUT:-}
if [ -z "$out" ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
table=$out/table.jsonl
touch "$table"

stage() { # NAME COMMAND...
  grep -q "\"stage\": \"$1\", .*\"exit\": 0" "$table" && return
  python3 tests/bench/rehearsal/stage_cost.py "$table" "$@" || { tail -n 20 "$table.$1.log" >&2; exit 1; }
}

on_ranks() { # NAME RANKS COMMAND...
  stage "$1" mpirun -np "$2" --bind-to none --oversubscribe "${@:3}"
}

expect() { # NAME PATTERN: that the log of a stage must have
  grep -Eq "$2" "$table.$1.log" || { echo "rehearsal.sh: $1: expected '$2' in $table.$1.log" >&2; exit 1; }
}

stage set "$bench" set "$out/set" "$samples" "$identities" "$shards"
paths=()
for ((i = 0; i < shards; ++i)); do paths+=("$out/set/shard_$i"); done
train="--data.train=$(IFS=,; echo "${paths[*]}")"

forget_files() { # so that the next stage reads from the disk
  sync
  if [ -w /proc/sys/vm/drop_caches ]; then
    echo 3 >/proc/sys/vm/drop_caches
  else
    echo "rehearsal.sh: the page cache cannot be emptied here: the next stage is not cold" >&2
  fi
}
forget_files
stage first_opening "$program" data info "${paths[0]}"
forget_files
stage second_opening "$program" data info "${paths[0]}"
stage warm_opening "$program" data info "${paths[0]}"
# It exits with 1 for the copies that it finds.
stage check bash -c '"$@" || [ $? -eq 1 ]' - "$program" data check "${paths[0]}" --report="$out/check.json" --kept="$out/sound.h5"

python3 - "$out/check.json" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
totals, found = report["totals"], report["findings"]
copies = len(found["duplicate"]) + len(found["conflict"]) // 2  # both samples of a copy under two labels are findings
if copies != totals["samples"] // 1000 or totals["findings"] != len(found["duplicate"]) + len(found["conflict"]):
    sys.exit(f"rehearsal.sh: {totals['samples'] // 1000} copies were planted, data check found {totals}")
PYTHON

mkdir -p "$out/scores"
stage scores_killed bash -c '! "$@"' - mpirun -np 2 --bind-to none --oversubscribe "$bench" scores "$out/scores" 8 "${paths[@]}"
on_ranks scores_resumed 3 "$bench" scores "$out/scores" 0 "${paths[@]}"
expect scores_resumed '"samples_found": [1-9]'
stage dynamics "$bench" dynamics "$out/scores" "${paths[@]}"

for method in diffprob random el2n ccs balanced balanced_easy deep deep_diffprob dynunc forgetting aum; do
  on_ranks "prune_$method" "$ranks" "$program" prune --output="$out/prune_$method" "$train" --prune.scores="$out/scores/scores.h5" \
    --prune.dynamics="$out/scores/dynamics.h5" --prune.method="$method" --prune.clean=false --prune.keep_ratio=0.5
done
on_ranks clean "$ranks" "$program" prune --output="$out/clean" "$train" --prune.scores="$out/scores/scores.h5" --prune.keep_ratio=0.5 \
  --prune.clean_precision=0.5 --prune.proposals=true
kept=$out/prune_diffprob/index_set.h5
stage orders "$bench" orders "$kept" 64 "${paths[@]}"
stage dry_run "$program" train --output="$out/train" "$train" --data.kept="$kept" --dry-run=64

mkdir -p "$out/shard_scores"
on_ranks scores_of_shard "$ranks" "$bench" scores "$out/shard_scores" 0 "${paths[0]}"
on_ranks prune_shard "$ranks" "$program" prune --output="$out/prune_shard" --data.train="${paths[0]}" --prune.scores="$out/shard_scores/scores.h5" \
  --prune.clean=false --prune.keep_ratio=0.5
stage pack_subset "$program" data pack "${paths[0]}" "$out/subset" --subset="$out/prune_shard/index_set.h5"
stage info_subset "$program" data info "$out/subset"

on_ranks head_by_4 4 "$bench" write_head "$out/head" "$identities"
on_ranks head_on_3 3 "$bench" read_head "$out/head" "$identities"

stage report "$program" report "$out/clean" --file="$out/report.html"
bytes=$(stat -c %s "$out/report.html")
[ "$bytes" -lt 5000000 ] || { echo "rehearsal.sh: the report has $bytes bytes" >&2; exit 1; }
echo "$samples samples, $identities identities, $(du -sh --apparent-size "$out" | cut -f1) of disk, report of $bytes bytes" >&2
python3 tests/bench/rehearsal/stage_cost.py --table "$table"
