#!/usr/bin/env bash
# A training stopped by SIGUSR1 to one rank and continued on other numbers of ranks, 2 -> 3 -> 1: exit code 75, every global batch holds the
# same samples in the same order as in an unbroken run of one rank, and the loss goes on as on the old number of ranks.
# Stopped and continued on 2 ranks: the same bits as unbroken, although the stop adds a checkpoint. ranks.sh PROGRAM WORK_FOLDER [STAGES...]
# STAGES: RANKS:GROUP each, GROUP for model.head_group; default 2:0 3:0 1:0. Those of the last part are two ranks and the group of the last stage.
set -euo pipefail
program=$1 work=$2
shift 2
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(2:0 3:0 1:0)
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
. "$here/job.sh"
arguments=(--train.epochs=10 --model.sync_batch_norm=true)

# "STEP INDICES" of all ranks of a folder, the ranks' rows of a batch joined in rank order.
order_of() {
  cat "$1"/order.rank*.jsonl | sed -E 's/^\{"step":([0-9]+),"indices":\[([0-9,]*)\]\}$/\1 \2/' |
    awk '{rows[$1] = rows[$1] "," $2} END {for (step in rows) print step, substr(rows[step], 2)}' | sort -n
}

# stop_after STEPS: SIGUSR1 to a random rank once that many steps are traced.
stop_after() {
  local steps=$1 ranks=$2 output=$3 victim lines
  victim=$(random_rank "$ranks")
  for _ in $(seq 3000); do
    lines=$(cat "$output/order.rank00000.jsonl" 2>/dev/null | wc -l || true)
    [ "$lines" -ge "$steps" ] && break
    kill -0 "$job" 2>/dev/null || die "the job ended before it could be stopped"
    sleep 0.01
  done
  kill -USR1 "$victim" || die "rank $victim is gone"
  ends_with 75
  grep -q 'stopped by SIGUSR1' "$log" || die "the log does not say why it stopped"
}

# Largest relative difference of the losses of the first three steps after checkpoint $3, in two output folders.
loss_difference() {
  paste -d' ' <(losses_of "$1" "$3") <(losses_of "$2" "$3") |
    awk 'NF != 4 || $1 != $3 {exit 1} {d = ($2 - $4) / $2; if (d < 0) d = -d; if (d > w) w = d} END {printf "%.2g", w}'
}
losses_of() {
  sed -nE 's/.*"kind":"train".*"step":([0-9]+).*"loss":([0-9.e+-]+).*/\1 \2/p' "$1/metrics.jsonl" | awk -v from="$2" '$1 > from && $1 <= from + 3'
}

stage() {  # RANKS:GROUP STEPS: goes on with that many ranks for at least so many steps (0: to the end)
  local ranks=${1%:*} group=${1#*:} steps=$2 checkpoint="" from difference
  rm -rf "$work/twin"
  if [ -d "$work/moved" ]; then
    checkpoint=$(last_checkpoint "$work/moved")
    cp -r "$work/moved" "$work/twin"
  fi
  start "$ranks" "$work/moved" "${arguments[@]}" --model.head_group="$group"
  if [ "$steps" -gt 0 ]; then stop_after "$steps" "$ranks" "$work/moved"; else ends_with 0; fi
  mkdir -p "$work/stage$ranks"
  mv "$work"/moved/order.rank*.jsonl "$work/stage$ranks"
  order_of "$work/stage$ranks" >>"$work/order.moved"
  [ -n "$checkpoint" ] || return 0
  # The same checkpoint continued on as many ranks as wrote it. Later losses drift apart as those of 1 and 2 threads do.
  start "${before%:*}" "$work/twin" "${arguments[@]}" --model.head_group="${before#*:}"
  ends_with 0
  from=$((10#${checkpoint##*step_}))
  difference=$(loss_difference "$work/twin" "$work/moved" "$from") || die "losses of steps after $from are missing"
  awk -v d="$difference" 'BEGIN {exit !(d < 1e-4)}' || die "on $ranks ranks the loss after step $from differs by $difference, relatively"
  differences+=" $difference"
}

prepare
start 1 "$work/reference" "${arguments[@]}"
ends_with 0
order_of "$work/reference" >"$work/order.reference"
[ "$(wc -l <"$work/order.reference")" -eq 60 ] || die "the unbroken run traced $(wc -l <"$work/order.reference") steps, expected 60"

differences=""
before=""
for ((i = 0; i < ${#stages[@]}; ++i)); do
  stage "${stages[i]}" $((i + 1 < ${#stages[@]} ? 9 : 0))
  before=${stages[i]}
done
cmp "$work/order.reference" "$work/order.moved" || die "the order of samples differs"

arguments+=(--model.sync_batch_norm=false --model.head_group="${before#*:}")
start 2 "$work/whole" "${arguments[@]}"
ends_with 0
start 2 "$work/stopped" "${arguments[@]}"
stop_after 10 2 "$work/stopped"
start 2 "$work/stopped" "${arguments[@]}"
ends_with 0
grep -q ': continues ' "$log" || die "it did not continue"
same_weights "$(last_checkpoint "$work/whole")" "$(last_checkpoint "$work/stopped")"

echo "passed: order of 60 batches equal over ${stages[*]} (ranks:group; stages of" \
  "$(for each in "${stages[@]}"; do wc -l <"$work/stage${each%:*}/order.rank00000.jsonl"; done | xargs) steps); the loss differs by" \
  "$differences (relatively, 3 steps after each change) from that on the old number of ranks; stopped and continued on 2 ranks: the same bits"
rm -rf "$work"
