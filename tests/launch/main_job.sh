#!/usr/bin/env bash
# The program as users run it, on a very small synthetic set. One case a call: main_job.sh CASE DIFFPROB_PROGRAM WORK_FOLDER.
# The case `pipeline` comes first: the others use its data and its network.
set -euo pipefail
case_name=$1 program=$2 work=$3
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
mkdir -p "$work"
base=$work/base
log=$work/$case_name.log

ranks() { local n=$1; shift; timeout 120 mpirun -np "$n" --oversubscribe --bind-to none "$program" "$@" >"$log" 2>&1; }
die() { echo "FAILED: $*"; tail -n 30 "$log"; exit 1; }
says() { grep -qF -- "$1" "$log" || die "the log does not say: $1"; }
exits() { local wanted=$1 code=0; shift; "$@" || code=$?; [ "$code" -eq "$wanted" ] || die "exit code $code, expected $wanted: $*"; }

write_config() {
  cat >"$work/config.yaml" <<YAML
seed: 3
synthetic: {identities: 12, images_per_identity: 12, verification_pairs: 40, verification_identities: 8}
data: {decode_threads: 1}
model: {backbone: tiny, embedding_dim: 32, dropout: 0.2, scale: 32, margin: 0.1}
train: {epochs: 2, batch_size: 24, lr: 0.05, lr_reference_batch: 0, milestones: [1], log_every: 2, checkpoint_every: 2}
score: {batch_size: 32}
YAML
}

network() { ls -d "$base"/train_original/checkpoints/step_* | tail -n 1; }

pipeline() {
  rm -rf "$base"
  write_config
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --run.compare_random=true
  for name in untrained original clean+diffprob random; do says "  $name"; done
  for file in summary.txt summary.json metrics.jsonl config.yaml score/scores.h5 prune/kept_index.txt prune/label_map.txt; do
    [ -s "$base/$file" ] || die "no $file"
  done
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --run.compare_random=true
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 7 ] || die "the second run did not skip all 7 stages"
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --prune.keep_ratio=0.4
  says "moved aside"
  ls -d "$base"/prune.stale-* >/dev/null || die "the old pruning is gone"
}

world_sizes() {
  for n in 1 2 3; do
    exits 0 ranks "$n" score "$work/config.yaml" --data.train="$base/data" --model.checkpoint="$(network)" --output="$work/w$n"
    exits 0 ranks "$n" prune --prune.scores="$base/score/scores.h5" --output="$work/p$n"
  done
  for n in 2 3; do
    for file in kept_index.txt label_map.txt index_set.h5; do
      cmp "$work/p1/$file" "$work/p$n/$file" || die "$file of $n ranks differs from that of one"
    done
  done
}

resume() {
  local whole=$work/whole killed=$work/killed
  rm -rf "$whole" "$killed"
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$whole" --train.epochs=4
  (ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$killed" --train.epochs=4) &
  local job=$!
  for _ in $(seq 600); do [ -e "$killed/checkpoints/step_00000006/manifest.json" ] && break; sleep 0.1; done
  pkill -KILL -f -- "--output=$killed" || die "training ended before it could be killed"
  wait "$job" && die "a killed job must not end with 0"
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$killed" --train.epochs=4
  says "continues"
  local last
  last=$(basename "$(ls -d "$whole"/checkpoints/step_* | tail -n 1)")
  for file in "$whole/checkpoints/$last"/*.pth; do
    cmp "$file" "$killed/checkpoints/$last/$(basename "$file")" || die "$(basename "$file") differs from the unbroken run"
  done
  exits 1 ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$killed" --train.epochs=4 --train.lr=0.06
  says "train.lr: was 0.05, is 0.06"
}

corrupt_image() {  # one rank throws in the middle of training: all end, in bounded time
  rm -rf "$work/corrupt"
  cp -r "$base/data" "$work/corrupt"
  local offset
  offset=$(awk '$1 == 60 {print $2}' "$work/corrupt/train.idx")
  printf 'xxxxxxxxxxxx' | dd of="$work/corrupt/train.rec" bs=1 seek=$((offset + 40)) conv=notrunc status=none
  local started=$SECONDS
  exits 1 ranks 2 train "$work/config.yaml" --data.train="$work/corrupt" --output="$work/corrupt_out"
  says "train.rec"
  says "all ranks end"
  [ $((SECONDS - started)) -lt 60 ] || die "it took $((SECONDS - started)) s to end"
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$work/corrupt" --output="$work/corrupt_ok" --data.on_corrupt=replace
  says "unreadable image replaced"
}

bad_input() {
  exits 2 ranks 2 run "$work/config.yaml" --train.batch_siez=64
  says "--train.batch_siez: unknown key, did you mean train.batch_size?"
  exits 2 ranks 1 tarin
  says "did you mean train?"
  rm -rf "$work/short" && mkdir "$work/short" && cp "$base"/data/{train.idx,property} "$work/short"
  head -c 100000 "$base/data/train.rec" >"$work/short/train.rec"
  exits 1 ranks 2 train "$work/config.yaml" --data.train="$work/short" --output="$work/short_out"
  says "train.rec"
  printf 'cos\nsystem\n(S"touch %s/owned"\ntR.' "$work" >"$work/evil.bin"
  exits 1 ranks 2 eval "$work/config.yaml" --model.checkpoint="$(network)" --eval.sets="$work/evil.bin" --output="$work/evil_out"
  says "evil.bin"
  [ ! -e "$work/owned" ] || die "the pickle was executed"
}

small_head() {  # labels beyond the head: every rank ends with one message
  rm -rf "$work/more"
  exits 0 ranks 1 data synth "$work/more" --synthetic.identities=20 --synthetic.images_per_identity=6 --synthetic.verification_pairs=20
  exits 1 ranks 2 score "$work/config.yaml" --data.train="$work/more" --model.checkpoint="$(network)" --output="$work/more_out"
  says "the data set has 20 identities, the head of the checkpoint only 12"
}

"$case_name"
echo "passed: $case_name"
