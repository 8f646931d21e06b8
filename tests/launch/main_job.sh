#!/usr/bin/env bash
# The program as users run it, on a very small synthetic set. One case a call: main_job.sh CASE DIFFPROB_PROGRAM WORK_FOLDER.
# The case `pipeline` comes first: the others use its data and its network.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case_name=$1 program=$2 work=$3
mkdir -p "$work"
base=$work/base
log=$work/$case_name.log
. "$here/program.sh"

write_config() {
  cat >"$work/config.yaml" <<YAML
seed: 3
synthetic: {identities: 12, images_per_identity: 12, verification_pairs: 40, verification_identities: 8}
data: {decode_threads: 1}
model: {backbone: tiny, embedding_dim: 32, dropout: 0.2, scale: 32, margin: 0.1}
train: {epochs: 2, batch_size: 24, lr: 0.05, lr_reference_batch: 0, milestones: [1], log_every: 2, checkpoint_every: 2, record: true}
score: {batch_per_rank: 16}
YAML
}

cost() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1] + "/summary.json"))["cost"], indent=1))' "$1"; }
network() { ls -d "$base"/train_original/checkpoints/step_* | tail -n 1; }

pipeline() {
  rm -rf "$base"
  write_config
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --run.compare_random=true
  for name in untrained original clean+diffprob random; do says "  $name"; done
  for file in summary.txt summary.json metrics.jsonl config.yaml train_original/dynamics.h5 score/scores.h5 prune/kept_index.txt prune/label_map.txt; do
    [ -s "$base/$file" ] || die "no $file"
  done
  [ ! -e "$base/score/scores.parts" ] || die "parts of the scoring are left"
  says "cost: original training 288 images in"  # 2 epochs of 6 batches of 24
  says "; scoring 152 images in"
  says "kept images take"
  cost "$base" >"$work/cost"
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --run.compare_random=true
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 7 ] || die "the second run did not skip all 7 stages"
  cost "$base" | cmp - "$work/cost" || die "stages that were done before have another cost"
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --prune.keep_ratio=0.4
  says "moved to"
  ls -d "$base"/prune.stale-* >/dev/null || die "the old pruning is gone"
  exits 0 ranks 2 run "$work/config.yaml" --output="$base" --prune.method=aum  # from what the original training recorded
  says "clean+aum keeps"
}

sweep() {  # a cell as a job of its own, the rest at once, all again: skipped, and the same table
  local out=$work/sweep
  rm -rf "$out"
  local job=("$work/config.yaml" --output="$out" --sweep.methods=diffprob,aum --sweep.ratios=0.5 --run.seeds=2)
  exits 0 ranks 1 sweep "${job[@]}" --dry-run
  says "cell 3: random at 0.5: 2 index sets, 2 trainings, in sweep/random_r0.5"
  says "8 trainings and 4 index sets in total"
  exits 0 ranks 1 sweep "${job[@]}" --score.folds=3 --dry-run
  says "cell 0: 2 trainings on all images, 3 on all but a fold, scores"
  says "11 trainings and 4 index sets in total"
  exits 2 ranks 2 sweep "${job[@]}" --score.folds=3 --score.head=centroids
  says "score.folds scores with the heads that were trained with its networks"
  exits 2 ranks 2 sweep "${job[@]}" --sweep.cell=4
  says "sweep.cell: expected 0 to 3, got 4"
  exits 2 ranks 2 sweep "${job[@]}" --train.record=false
  says "sweep.methods: aum reads training dynamics here"
  exits 2 ranks 2 sweep "${job[@]}" --sweep.methods=dynunc
  says "sweep.methods: dynunc needs more than 10 recorded epochs (its window), but train.epochs is 2"
  exits 2 ranks 2 sweep "${job[@]}" --sweep.cell=1
  says "run \`diffprob sweep CONFIG --sweep.cell=0\` first"
  exits 0 ranks 2 sweep "${job[@]}" --sweep.cell=0
  exits 0 ranks 2 sweep "${job[@]}" --sweep.cell=1
  [ "$(ls "$out/sweep")" = diffprob_r0.5 ] || die "sweep.cell=1 made more than its own cell"
  [ ! -e "$out/sweep.txt" ] || die "one cell is no table"
  exits 0 ranks 2 sweep "${job[@]}"
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 7 ] || die "expected data, 2 originals, scores and the 3 stages of cell 1 to be skipped"
  for file in sweep.txt sweep.json sweep.csv; do
    [ -s "$out/$file" ] || die "no $file"
    cp "$out/$file" "$work/first_$file"
  done
  exits 0 diffprob report "$out"
  python3 "$here/report/check_report.py" "$out/report.html" Sweep "synthetic_verification: difference to random" "all images" >/dev/null ||
    die "the report does not draw the sweep"
  [ "$(wc -l <"$out/sweep.csv")" -eq 9 ] || die "expected a line for each of 8 trainings"
  exits 0 ranks 2 sweep "${job[@]}"
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 14 ] || die "the second run did not skip all 14 stages"
  for file in sweep.txt sweep.json sweep.csv; do cmp "$out/$file" "$work/first_$file" || die "$file has changed"; done
  # The draws of two seeds differ; deterministic methods have one set.
  cmp -s "$out"/sweep/random_r0.5/prune_s{0,1}/kept_index.txt && die "both seeds drew the same"
  [ -s "$out/sweep/aum_r0.5/prune/kept_index.txt" ] || die "no index set of aum"
  # Out of sample: the originals stay, the folds are trained and scored, and cells are pruned anew.
  exits 0 ranks 2 sweep "${job[@]}" --score.folds=2 --run.seeds=1
  [ -e "$out/score_fold1/scores.h5" ] || die "no scores of the second fold"
  says "stage train_original: done before, inputs unchanged: skipped"
}

world_sizes() {
  for n in 1 2 3; do
    exits 0 ranks "$n" score "$work/config.yaml" --data.train="$base/data" --model.checkpoint="$(network)" --output="$work/w$n"
    exits 0 ranks "$n" prune --prune.scores="$base/score/scores.h5" --output="$work/p$n"
  done
  for n in 2 3; do
    cmp "$work/w1/scores.h5" "$work/w$n/scores.h5" || die "scores of $n ranks differ from those of one"
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
  # The rest with images that stay in memory of the device: the same bits.
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$killed" --train.epochs=4 --data.resident_gib=1
  says "continues"
  says "decode into memory of cpu"
  local last
  last=$(basename "$(ls -d "$whole"/checkpoints/step_* | tail -n 1)")
  for file in "$whole/checkpoints/$last"/*.pth; do
    cmp "$file" "$killed/checkpoints/$last/$(basename "$file")" || die "$(basename "$file") differs from the unbroken run"
  done
  exits 2 ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$killed" --train.epochs=4 --train.lr=0.06
  says "train.lr: was 0.05, is 0.06"
}

# A training that goes on with another batch size: what it wrote last is the newest, and it learns no epoch twice.
changed_batch() {
  local out=$work/changed_batch epochs=2 newest
  rm -rf "$out"
  local job=("$work/config.yaml" --data.train="$base/data" --output="$out" --train.allow_changes=train.batch_size,train.epochs)
  exits 0 ranks 2 train "${job[@]}" --train.epochs=$epochs
  for size in 48 48 12; do
    epochs=$((epochs + 1))
    exits 0 ranks 2 train "${job[@]}" --train.epochs=$epochs --train.batch_size=$size
    says "continues"
    newest=$(ls -d "$out"/checkpoints/step_???????? | tail -n 1)
    says "network is $newest"
    exits 0 ranks 2 train "${job[@]}" --train.epochs=$epochs --train.batch_size=$size
    says "continues $newest"
    if grep -q 'images/s  data wait' "$log"; then die "a finished training was trained again with batch $size"; fi
  done
}

# A head does not go to other people, whatever may differ.
other_people() {
  local out=$work/other_people
  rm -rf "$out" "$work/others"
  exits 0 diffprob data synth "$work/others" --synthetic.identities=15 --synthetic.images_per_identity=12 --synthetic.verification_pairs=10 \
    --synthetic.verification_identities=4 --seed=9
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$base/data" --output="$out"
  exits 2 ranks 2 train "$work/config.yaml" --data.train="$work/others" --output="$out" --train.epochs=3 --train.allow_changes=train.epochs
  says "with --train.init to start from this network"
  grep -q "allow_changes=KEY" "$log" && die "the advice leads to a head of other people"
  exits 2 ranks 2 train "$work/config.yaml" --data.train="$work/others" --output="$out" --train.epochs=3 --train.allow_changes=train.epochs,dataset
  says "its head has 12 identities, but the training set has 15"
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$work/others" --output="$out.new" --train.init="$(ls -d "$out"/checkpoints/step_???????? | tail -n 1)"
}

# A verification that did not come to an end is made up: the best network is not missed.
best_set() {
  local out=$work/best_set newest
  rm -rf "$out"
  local job=("$work/config.yaml" --data.train="$base/data" --output="$out" --train.checkpoint_every=0 --eval.sets="$base/data/synthetic_verification.bin")
  best_of() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["best"])' "$newest/manifest.json"; }
  exits 0 ranks 2 train "${job[@]}"
  newest=$(ls -d "$out"/checkpoints/step_???????? | tail -n 1)
  [ "$(best_of)" = None ] || die "a training without train.best_set knows a best network"
  exits 0 ranks 2 train "${job[@]}" --train.best_set=synthetic_verification
  [ "$(best_of)" != None ] || die "the best network was missed"
  cp "$newest/manifest.json" "$work/best_manifest.json"
  exits 0 ranks 2 train "${job[@]}" --train.best_set=synthetic_verification
  same "$work/best_manifest.json" "$newest/manifest.json"
}

# Verifications amid epochs change no weights, also not after a kill; the best of them is kept. Sets by name, and the mean of two.
eval_steps() {
  local out=$work/eval_steps plain=$work/eval_plain
  rm -rf "$out" "$plain" "$out".* "$work/by_name"
  mkdir "$work/by_name"
  cp "$base"/data/{train.rec,train.idx,property} "$work/by_name"
  cp "$base/data/synthetic_verification.bin" "$work/by_name/one.bin"
  cp "$base/data/synthetic_verification.bin" "$work/by_name/two.bin"
  local job=("$work/config.yaml" --data.train="$work/by_name" --train.checkpoint_every=0 --train.epochs=2 --train.ema_decay=0.9)
  local often=(--train.eval_every_steps=2 --eval.sets=one,two.bin --train.best_set=mean --train.keep_checkpoints=1)
  exits 0 ranks 2 train "${job[@]}" --output="$plain"
  exits 0 ranks 2 train "${job[@]}" --output="$out" "${often[@]}"
  says "verification set one: "
  says "train after step 2/"
  same_weights() {
    local newest
    newest=$(basename "$(ls -d "$plain"/checkpoints/step_???????? | tail -n 1)")
    for file in "$plain/checkpoints/$newest"/*.pth; do
      same "$file" "$1/checkpoints/$newest/$(basename "$file")"
    done
  }
  same_weights "$out"
  cat >"$work/eval_steps.py" <<'PYTHON'
import glob, json, sys
folder = sys.argv[1]
lines = [json.loads(line) for line in open(folder + "/metrics.jsonl")]
found = {}
for line in lines:
    if line["kind"] == "eval":
        found.setdefault(line["step"], {})[line["set"]] = line["accuracy"]
steps = max(found)
assert sorted(found) == sorted(set(range(2, steps + 1, 2)) | {steps // 2, steps}), sorted(found)
assert all(sorted(sets) == ["one", "two"] for sets in found.values()), found
means = {step: sum(sets.values()) / 2 for step, sets in found.items()}
best = max(means, key=lambda step: (means[step], -step))
kept = json.load(open(sorted(glob.glob(folder + "/checkpoints/step_????????"))[-1] + "/manifest.json"))["best"]
assert kept["set"] == "mean of one, two" and kept["step"] == best and abs(kept["value"] - means[best]) < 1e-12, (kept, means)
assert glob.glob(folder + f"/checkpoints/step_{best:08d}"), best
times = [line["images_per_second"] for line in lines if line["kind"] == "train"]
assert times and all(speed > 0 for speed in times)
PYTHON
  python3 "$work/eval_steps.py" "$out" || die "the verifications amid epochs"
  # Stopped after three steps and resumed: the same.
  exits 75 ranks 2 train "${job[@]}" --output="$out.cut" "${often[@]}" --train.max_time=0.001
  exits 0 ranks 2 train "${job[@]}" --output="$out.cut" "${often[@]}"
  same_weights "$out.cut"
  python3 "$work/eval_steps.py" "$out.cut" || die "the verifications of a resumed training"
  [ "$(grep -c 'starts on 2 ranks' "$out.cut/training.log")" -eq 2 ] || die "training.log does not tell the starts"
  grep -q 'what is above is of earlier starts' "$out.cut/training.log" || die "training.log was not appended to"
  grep -q 'stopped by train.max_time' "$out.cut/training.log" || die "training.log lacks the stop"
  # A name that is not there is said with those that are; a mean of nothing is no set.
  exits 2 ranks 2 train "${job[@]}" --output="$out.none" --eval.sets=lfw --train.best_set=mean
  says "eval.sets: lfw is not there, and lfw.bin is neither in $work/by_name nor in $work"
  says "$work/by_name/one.bin, $work/by_name/two.bin"
  exits 0 ranks 2 eval --device=cpu --data.train="$work/by_name" --eval.sets=two --model.checkpoint="$(ls -d "$out"/checkpoints/step_???????? | tail -n 1)" --output="$out.eval"
  grep -q 'diffprob eval starts' "$out.eval/training.log" || die "eval has no log file"
  # A disk that is full where the log goes.
  mkdir -p "$out.full" && ln -s /dev/full "$out.full/training.log"
  exits 0 ranks 2 train "${job[@]}" --output="$out.full"
  [ "$(grep -c 'No space left on device' "$log")" -eq 1 ] || die "a full disk is not one warning"
  same_weights "$out.full"
}

# A run on a part of a data set (data.kept): the lists that people take away count in data.train.
part() {
  local out=$work/part samples half
  rm -rf "$out" "$work"/packed_*
  samples=$("$program" data info "$base/data" | awk '$1 == "images" && NF == 2 {print $2}')
  half=$((samples / 2))
  printf 'kept_index = [%s]\n' "$(seq -s, "$half" $((samples - 1)))" >"$work/half.txt"
  exits 0 ranks 2 run "$work/config.yaml" --data.train="$base/data" --data.kept="$work/half.txt" --output="$out" --prune.clean=false \
    --prune.min_kept=2 --eval.sets='[]'
  # shellcheck disable=SC2086
  python3 - "$out/prune/kept_index.txt" "$half" "$samples" <<'PYTHON' || die "kept_index.txt does not count in data.train"
import ast, sys
kept = ast.literal_eval(open(sys.argv[1]).read().split("=")[1].strip())
sys.exit(not (kept == sorted(set(kept)) and int(sys.argv[2]) <= kept[0] and kept[-1] < int(sys.argv[3]) and len(kept) > 10))
PYTHON
  for list in kept_index.txt index_set.h5; do
    exits 0 diffprob data pack "$base/data" "$work/packed_$list" --subset="$out/prune/$list"
  done
  cmp "$work/packed_kept_index.txt/train.rec" "$work/packed_index_set.h5/train.rec" || die "the two lists select different images"
  # The same pruning by itself has the same lists; and everything is found again.
  exits 0 ranks 3 prune --data.train="$base/data" --data.kept="$work/half.txt" --prune.scores="$out/score/scores.h5" --output="$work/part_prune" \
    --prune.clean=false --prune.min_kept=2
  for file in kept_index.txt label_map.txt; do cmp "$out/prune/$file" "$work/part_prune/$file" || die "$file differs"; done
  exits 0 ranks 2 run "$work/config.yaml" --data.train="$base/data" --data.kept="$work/half.txt" --output="$out" --prune.clean=false \
    --prune.min_kept=2 --eval.sets='[]'
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 4 ] || die "the second run did not skip all 4 stages"
}

# Stages made from other inputs: what differs is said, and no more is done again than it asks for.
inputs() {
  local out=$work/inputs
  rm -rf "$out" "$work/more"
  local job=("$work/config.yaml" --output="$out" --train.record=false)
  exits 75 ranks 2 run "${job[@]}" --train.epochs=40 --train.max_time=1
  exits 0 ranks 2 run "${job[@]}" --train.epochs=3 --train.lr=0.04 --train.allow_changes=train.lr,train.epochs
  says "train.lr: was 0.05, is 0.04"
  says "continues $out/train_original/checkpoints/step_"
  [ -z "$(find "$out" -name '*.stale-*')" ] || die "something was moved aside"
  # Another number of folds, another verification set: both networks stay.
  exits 0 ranks 2 run "${job[@]}" --train.epochs=3 --train.lr=0.04 --eval.folds=5
  [ "$(grep -c 'only its evaluation is done again' "$log")" -eq 2 ] || die "expected two networks to be verified again"
  if grep -q 'images/s  data wait' "$log"; then die "a network was trained again"; fi
  exits 0 diffprob data synth "$work/more" --synthetic.identities=4 --synthetic.verification_pairs=30 --synthetic.verification_identities=6 --seed=8
  mv "$work/more/synthetic_verification.bin" "$work/more/second_set.bin"
  exits 0 ranks 2 run "${job[@]}" --train.epochs=3 --train.lr=0.04 --eval.folds=5 --eval.sets="$work/more/second_set.bin"
  if grep -q 'images/s  data wait' "$log"; then die "a network was trained again for a new set"; fi
  grep -q second_set "$out/summary.txt" || die "the new set is not in the summary"
  exits 0 ranks 2 run "${job[@]}" --train.epochs=3 --train.lr=0.04 --eval.folds=5 --eval.sets="$work/more/second_set.bin"
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 5 ] || die "expected 5 finished stages"
  # Allowed changes and another number of folds at once: the epochs that are missing are trained.
  exits 0 ranks 2 run "${job[@]}" --train.epochs=4 --train.lr=0.04 --eval.folds=4 --train.allow_changes=train.epochs
  says "train.epochs: was 3, is 4"
  says "epoch 4/4"
  # What is made anew says why.
  exits 0 ranks 2 run "${job[@]}" --train.epochs=4 --train.lr=0.03 --eval.folds=4
  says "train.lr: was 0.04, is 0.03"
  says "train_original.stale-"
}

# Last checkpoints of two trainings hold the same bits.
same_result() {
  local last
  last=$(basename "$(ls -d "$1"/checkpoints/step_???????? | tail -n 1)")
  for file in "$1/checkpoints/$last"/*.pth; do
    cmp "$file" "$2/checkpoints/$last/$(basename "$file")" || die "$last/$(basename "$file") of $2 differs from that of $1"
  done
}

long_training() { # OUTPUT RANKS [--key=value ...]
  local output=$1 n=$2
  shift 2
  ranks "$n" train "$work/config.yaml" --data.train="$base/data" --output="$output" --train.epochs=4 --train.checkpoint_every=3 "$@"
}

kills() {  # DIFFPROB_TEST_KILLS times SIGKILL for a random rank at a random moment; the end is that of the unbroken run, bit for bit
  local whole=$work/kills_whole killed=$work/kills_killed times=${DIFFPROB_TEST_KILLS:-3} done_kills=0 code
  rm -rf "$whole" "$killed"
  exits 0 long_training "$whole" 2
  for _ in $(seq $((times * 10))); do
    [ "$done_kills" -lt "$times" ] || break
    # A training that has ended starts anew, so that every kill hits one at work.
    if ls "$killed"/checkpoints/step_00000024 >/dev/null 2>&1; then same_result "$whole" "$killed"; rm -rf "$killed"; fi
    long_training "$killed" 2 &
    local job=$!
    sleep "$(awk -v seed="$RANDOM" 'BEGIN {srand(seed); print 0.5 + 5 * rand()}')"
    local pids
    mapfile -t pids < <(pgrep -f -- "^$program .*--output=$killed ")
    if [ ${#pids[@]} -eq 2 ] && kill -KILL "${pids[$((RANDOM % 2))]}" 2>/dev/null; then
      done_kills=$((done_kills + 1))
      code=0; wait "$job" || code=$?
      [ "$code" -ne 0 ] || [ -e "$killed/checkpoints/step_00000024/manifest.json" ] || die "a killed job ended with 0"
    else
      wait "$job" || die "a training that nobody killed failed"
    fi
  done
  [ "$done_kills" -eq "$times" ] || die "only $done_kills of $times kills"
  exits 0 long_training "$killed" 2
  same_result "$whole" "$killed"
  echo "$done_kills kills"
}

signals() {  # a first signal: checkpoint and 75; the resumed run ends like the unbroken one; the second signal ends at once
  local whole=$work/signals_whole stopped=$work/signals_stopped
  rm -rf "$whole" "$stopped"
  exits 0 long_training "$whole" 2
  (long_training "$stopped" 2) &
  local job=$! code=0
  for _ in $(seq 600); do [ -e "$stopped/checkpoints/step_00000003/manifest.json" ] && break; sleep 0.05; done
  kill -USR1 "$(pgrep -f -- "^$program .*--output=$stopped " | tail -n 1)"
  wait "$job" || code=$?
  [ "$code" -eq 75 ] || die "exit code $code after SIGUSR1, expected 75"
  says "stopped by SIGUSR1"
  exits 0 long_training "$stopped" 2
  same_result "$whole" "$stopped"
  rm -rf "$stopped"
  exits 75 long_training "$stopped" 2 --train.max_time=0.01
  says "stopped by train.max_time"
  exits 0 long_training "$stopped" 2
  same_result "$whole" "$stopped"
}

# Sample indices of all ranks, a line a step.
order_of() {
  python3 - "$@" <<'PY'
import glob, json, sys
steps = {}
for path in sorted(glob.glob(sys.argv[1] + "/order.rank*.jsonl")):
    for line in open(path):
        entry = json.loads(line)
        steps.setdefault(entry["step"], []).extend(entry["indices"])
for step in sorted(steps):
    if int(sys.argv[2]) <= step < int(sys.argv[3]):
        print(step, steps[step])
PY
}

elastic() {  # 2 -> 3 -> 1 ranks: the order of samples is that of one rank all the way
  local one=$work/elastic_one parts=$work/elastic_parts
  rm -rf "$one" "$parts" "$work/order"
  mkdir "$work/order"
  exits 0 long_training "$one" 1 --train.trace_order=true
  local from=0 n
  for n in 2 3; do
    exits 75 long_training "$parts" "$n" --train.trace_order=true --train.max_time=0.01
    local to
    to=$(($(ls -d "$parts"/checkpoints/step_* | tail -n 1 | grep -o '[0-9]*$' | sed 's/^0*//') + 0))
    [ "$to" -gt "$from" ] || die "no step was made on $n ranks"
    order_of "$parts" "$from" "$to" >>"$work/order/parts"
    rm -f "$parts"/order.rank*
    from=$to
  done
  exits 0 long_training "$parts" 1 --train.trace_order=true
  order_of "$parts" "$from" 1000 >>"$work/order/parts"
  order_of "$one" 0 1000 >"$work/order/one"
  cmp "$work/order/one" "$work/order/parts" || die "the order of samples differs"
  [ "$(wc -l <"$work/order/one")" -eq 24 ] || die "expected 24 steps"
}

options() {  # other losses, optimisers, number formats; what may change at resume; fine-tuning
  local out=$work/options
  rm -rf "$out"*
  local train=(--data.train="$base/data" --train.epochs=1 --train.checkpoint_every=0)
  exits 2 ranks 2 train "$work/config.yaml" --output="$out"
  says "data.train: is synthetic, which only run and sweep generate themselves"
  exits 0 ranks 2 train "$work/config.yaml" "${train[@]}" --output="$out" --model.loss=curricularface --model.margin=-1 \
    --train.optimizer=adamw --train.lr=0.001 --train.schedule=cosine --train.warmup_epochs=0.5 --train.ema_decay=0.9 \
    --augment.preset=adaface --data.sampling=balanced --train.accumulate=2 --model.recompute=true --profile=2 --data.resident_gib=1
  says "data.resident_gib=1 is not used: augment.* changes images"
  [ -s "$out"/trace.rank00000.json ] || die "no trace"
  ls "$out"/tensorboard/train/events.out.tfevents.* >/dev/null || die "no event file"
  exits 2 ranks 2 train "$work/config.yaml" "${train[@]}" --output="$out" --model.loss=arcface --train.epochs=2
  says "model.loss: was "
  exits 0 ranks 1 score "$work/config.yaml" --data.train="$base/data" --model.checkpoint="$(ls -d "$out"/checkpoints/step_* | tail -n 1)" --output="$out"_score
  exits 0 ranks 2 train "$work/config.yaml" "${train[@]}" --output="$out"_bf16 --model.loss=arcface --model.margin=-1 --train.precision=bf16 \
    --train.grad_dtype=bf16 --model.head_storage=bf16 --model.sample_rate=0.8 --train.nesterov=true --model.sync_batch_norm=true
  exits 0 ranks 2 train "$work/config.yaml" "${train[@]}" --output="$out"_bf16 --model.loss=cosface --model.margin=-1 --train.precision=bf16 \
    --train.grad_dtype=bf16 --model.head_storage=bf16 --model.sample_rate=0.8 --train.nesterov=true --model.sync_batch_norm=true \
    --train.epochs=2 --train.allow_changes=model.loss,train.epochs
  says "continues"
  exits 0 ranks 1 data synth "$work/others" --synthetic.identities=7 --synthetic.images_per_identity=10 --synthetic.verification_pairs=20
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$base/data,$work/others" --output="$out"_both --train.epochs=1 \
    --train.init="$(ls -d "$base"/train_original/checkpoints/step_* | tail -n 1)"
  says "19 identities"
  says "starts from the network of"
  exits 1 ranks 2 train "$work/config.yaml" "${train[@]}" --output="$out"_nan --train.lr=100 --train.weight_decay=1 --train.clip_grad_norm=0 \
    --train.max_skipped=3 --train.epochs=8
  says "consecutive updates had a non-finite loss or gradient"
}

corrupt_image() {  # one rank throws in the middle of training: all end, in bounded time
  rm -rf "$work/corrupt" "$work/corrupt_out" "$work/corrupt_ok" "$work/corrupt_resident"
  cp -r "$base/data" "$work/corrupt"
  local offset
  offset=$(awk '$1 == 60 {print $2}' "$work/corrupt/train.idx")
  printf 'xxxxxxxxxxxx' | dd of="$work/corrupt/train.rec" bs=1 seek=$((offset + 32)) conv=notrunc status=none
  local started=$SECONDS
  exits 1 ranks 2 train "$work/config.yaml" --data.train="$work/corrupt" --output="$work/corrupt_out"
  says "train.rec"
  says "all ranks exit"
  exits 1 ranks 2 train "$work/config.yaml" --data.train="$work/corrupt" --output="$work/corrupt_out" --data.resident_gib=1
  says "train.rec"
  says "all ranks exit"
  [ $((SECONDS - started)) -lt 60 ] || die "it took $((SECONDS - started)) s to end"
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$work/corrupt" --output="$work/corrupt_ok" --data.on_corrupt=replace
  says "unreadable image replaced"
  exits 0 ranks 2 train "$work/config.yaml" --data.train="$work/corrupt" --output="$work/corrupt_resident" --data.on_corrupt=replace \
    --data.resident_gib=1
  [ "$(grep -cF "unreadable image replaced" "$log")" -eq 1 ] || die "expected one line for the one image"
  same_result "$work/corrupt_ok" "$work/corrupt_resident"
}

bad_input() {
  exits 2 ranks 2 run "$work/config.yaml" --train.batch_siez=64
  says "--train.batch_siez: unknown key, did you mean train.batch_size?"
  printf 'prune: {keep_ratio: 0.5}\n' >"$work/other.yaml"
  exits 2 ranks 1 train "$work/config.yaml" : -np 1 "$program" train "$work/other.yaml"
  says "the ranks have different configurations"
  says 'data.decode_threads: 1 on rank 0 on'
  exits 2 ranks 1 train "$work/config.yaml" : -np 1 "$program" train "$work/none.yaml"
  says "some ranks cannot use the configuration"
  says "none.yaml: cannot be read"
  exits 2 ranks 1 tarin
  says "did you mean train?"
  rm -rf "$work/short" "$work/short_out" && mkdir "$work/short" && cp "$base"/data/{train.idx,property} "$work/short"
  head -c 100000 "$base/data/train.rec" >"$work/short/train.rec"
  exits 2 ranks 2 train "$work/config.yaml" --data.train="$work/short" --output="$work/short_out"
  says "train.rec"
  printf 'cos\nsystem\n(S"touch %s/owned"\ntR.' "$work" >"$work/evil.bin"
  exits 2 ranks 2 eval "$work/config.yaml" --model.checkpoint="$(network)" --eval.sets="$work/evil.bin" --output="$work/evil_out"
  says "evil.bin"
  [ ! -e "$work/owned" ] || die "the pickle was executed"
}

small_head() {  # labels beyond the head: every rank ends with one message
  rm -rf "$work/more"
  exits 0 ranks 1 data synth "$work/more" --synthetic.identities=20 --synthetic.images_per_identity=6 --synthetic.verification_pairs=20
  exits 2 ranks 2 score "$work/config.yaml" --data.train="$work/more" --model.checkpoint="$(network)" --output="$work/more_out"
  says "was trained on 12 identities, but this data set has 20"
}

"$case_name"
echo "passed: $case_name"
