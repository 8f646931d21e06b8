#!/usr/bin/env bash
# Networks that were trained elsewhere, with their class centres in the forms of other trainers:
# given.sh CASE DIFFPROB_PROGRAM WORK_FOLDER TABLE_DIFFERENCE. The case `scores` comes first: the
# others use its data, network and exports.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
case_name=$1 program=$2 work=$3 table_difference=$4
mkdir -p "$work"
cd "$work"
log=$work/$case_name.log
. "$here/../program.sh"
network=(--model.backbone=tiny --model.embedding_dim=32)
common=(--device=cpu --threads=1 --data.decode_threads=1)
options=(--data.train=faces "${common[@]}" --model.scale=32)
given=("${options[@]}" "${network[@]}" --model.checkpoint=backbone.pth)
training=("${options[@]}" "${network[@]}" --model.dropout=0 --model.sync_batch_norm=true --data.flip=false --train.batch_size=84 --train.log_every=1
  --train.tensorboard=false --train.warmup_epochs=0 --train.lr=0.02 --train.lr_reference_batch=0)

export_head() { exits 0 diffprob export --model.checkpoint="$checkpoint" --head="$1" --head-form="$2" --shards="$3" "${network[@]}"; }
checkpoint_after() { ls -d "$1"/checkpoints/step_* | sed -n "$2p"; }
equal_scores() {
  local difference
  difference=$("$table_difference" "$1" "$2") || die "$1 and $2 are not of the same samples"
  [ "$difference" = "probability 0 others 0 exact 0" ] || die "$1 and $2 differ: $difference"
}

scores() {
  rm -rf faces trained heads of_* && mkdir heads
  exits 0 diffprob data synth faces --synthetic.identities=14 --synthetic.images_per_identity=6 \
    --synthetic.verification_pairs=20 --synthetic.verification_identities=6
  images=$(($(wc -l <faces/train.idx) - 14 - 1))
  exits 0 ranks 3 train "${training[@]}" --train.batch_size="$images" --train.epochs=3 --train.keep_every_epochs=1 --output=trained
  checkpoint=$(checkpoint_after trained 2)
  exits 0 diffprob export --model.checkpoint="$checkpoint" --file=backbone.pth
  export_head heads/header.pth paper 1
  export_head heads/weight.pth weight 1
  for shards in 1 2 3; do
    export_head "heads/states$shards" arcface_torch "$shards"
    export_head "heads/ranks$shards" rank_weights "$shards"
    export_head "heads/own$shards" checkpoint "$shards"
  done
  exits 0 ranks 2 score "${options[@]}" --model.checkpoint="$checkpoint" --output=of_checkpoint
  local n=0
  for head in heads/*; do
    n=$((n % 4 + 1))
    exits 0 ranks "$n" score "${given[@]}" --model.head="$head" --output="of_${head#heads/}"
    says "14 class centres of $head"
    says "loss cosface with scale 32, as model.* says"
    equal_scores of_checkpoint/scores.h5 "of_${head#heads/}/scores.h5"
  done
  # Files in any order, and one file for network and head.
  for n in 1 2 3 4; do
    exits 0 ranks "$n" score "${given[@]}" --output="of_files$n" \
      --model.head=heads/states3/checkpoint_gpu_2.pt,heads/states3/checkpoint_gpu_0.pt,heads/states3/checkpoint_gpu_1.pt
    equal_scores of_checkpoint/scores.h5 "of_files$n/scores.h5"
  done
  exits 0 ranks 2 score "${given[@]}" --model.checkpoint=heads/states1/checkpoint_gpu_0.pt \
    --model.head=heads/states1/checkpoint_gpu_0.pt --output=of_one_file
  equal_scores of_checkpoint/scores.h5 of_one_file/scores.h5
  exits 0 ranks 1 score "${options[@]}" --model.checkpoint="$checkpoint" --model.head="$checkpoint" --output=of_folders
  equal_scores of_checkpoint/scores.h5 of_folders/scores.h5
}

# One batch is the whole set, so that the loss of a step is one of the weights alone: that of the
# third step of the first training is that of the first step from the files of its second.
start() {
  loss_of_step() { grep '"loss"' "$1/metrics.jsonl" | sed -n "$2p" | grep -o '"loss":[-0-9.e]*' | cut -d: -f2; }
  images=$(($(wc -l <faces/train.idx) - 14 - 1))
  close() { awk -v a="$1" -v b="$2" 'BEGIN { d = (a - b) / b; exit !(b > 0 && d < 1e-5 && -d < 1e-5) }' || die "the first loss is $1, expected $2"; }
  local expected
  expected=$(loss_of_step trained 3)
  for head in heads/header.pth heads/states3 heads/own2; do
    rm -rf started
    exits 0 ranks 2 train "${training[@]}" --train.batch_size="$images" --train.epochs=2 --train.init=backbone.pth \
      --model.head="$head" --output=started
    says "starts from the network of backbone.pth and the class centres of $head"
    close "$(loss_of_step started 1)" "$expected"
  done
  rm -rf started
  exits 0 ranks 2 train "${training[@]}" --train.batch_size="$images" --train.epochs=1 --train.init=backbone.pth \
    --model.head=heads/own2 --model.head_group=1 --output=started
  close "$(loss_of_step started 1)" "$expected"
  rm -rf started
  exits 0 ranks 2 train "${training[@]}" --train.batch_size="$images" --train.epochs=2 --train.init=backbone.pth \
    --model.head=heads/own2 --output=started
  # It goes on from its own checkpoint, not from the head again, and with another head it is another training.
  exits 0 ranks 2 train "${training[@]}" --train.batch_size="$images" --train.epochs=3 --train.init=backbone.pth \
    --model.head=heads/own2 --output=started --train.allow_changes=train.epochs
  says "continues started/checkpoints/step_"
  exits 2 ranks 2 train "${training[@]}" --train.batch_size="$images" --train.epochs=3 --train.init=backbone.pth \
    --model.head=heads/own1 --output=started
  says "model.head: was"
}

faults() {
  refused() { exits 2 ranks 2 score "${given[@]}" --output=refused --model.head="$1" "${@:2}"; }
  refused heads/states3/checkpoint_gpu_0.pt,heads/states3/checkpoint_gpu_2.pt
  says "missing: rank 1"
  refused heads/states3/checkpoint_gpu_0.pt
  says "model.head: heads/states3/checkpoint_gpu_0.pt (state_dict_softmax_fc.weight) has 5 class centres, but the data set has 14"
  says "Are files of further ranks missing?"
  refused backbone.pth
  says "backbone.pth: found the weights of a network without a head"
  refused heads/header.pth,heads/nowhere.pth
  says "heads/nowhere.pth is not there"
  refused faces
  says "faces: this folder holds no file of class centres"
  exits 2 ranks 1 score "${options[@]}" --model.checkpoint=backbone.pth --output=refused
  says "no model.head is given"
  rm -rf more && exits 0 diffprob data synth more --synthetic.identities=5 --synthetic.images_per_identity=6 --synthetic.verification_pairs=10
  refused heads/header.pth --data.train=more
  says "has 14 class centres, but the data set has 5"
  says "If the head was padded"
  exits 2 ranks 2 train "${training[@]}" --data.train=more --train.init=backbone.pth --model.head=heads/own2 --output=refused
  says "have 14 class centres, but the data set has 5"
  exits 2 ranks 1 sweep "${options[@]}" "${network[@]}" --eval.sets=faces/synthetic_verification.bin --model.head=heads/own2 --output=refused
  says "model.head: a sweep trains its original networks itself"
  exits 2 diffprob export --model.checkpoint=backbone.pth --head=out.pth --head-form=paper
  says "name the files of class centres with --model.head=FILES"
  exits 2 diffprob export --model.head=heads/own2 --head=out --head-form=theirs
  says "--head-form: expected one of paper, weight, checkpoint, arcface_torch, rank_weights"
  exits 2 diffprob export --model.head=heads/own2 --head=out --head-form=arcface_torch
  says "the files of arcface_torch hold the network, too"
  exits 2 diffprob export --model.head=heads/own2 --head=out.pth --head-form=paper --shards=2
  says "--shards: the form paper is a single file"
}

run() {
  rm -rf job && cp -r heads/states2 job_head
  local run=("${given[@]}" --model.head=job_head --train.epochs=1 --train.batch_size=16 --eval.sets=faces/synthetic_verification.bin
    --train.tensorboard=false --prune.keep_ratio=0.6 --output=job)
  exits 0 ranks 2 run "${run[@]}"
  says "given_original"
  grep -q "original: backbone.pth with the class centres of job_head, given and not trained here" job/summary.txt || die "the summary does not say it"
  grep -q "The original network was given, not trained in this run: backbone.pth" job/report.html || die "the report does not say it"
  [ ! -e job/train_original ] || die "an original was trained"
  equal_scores of_checkpoint/scores.h5 job/score/scores.h5
  exits 0 ranks 3 run "${run[@]}"
  [ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 4 ] || die "the second run did not skip all 4 stages"
  # Other centres in files of the same names: everything that depends on them is done again.
  exits 0 diffprob export --model.checkpoint="$(checkpoint_after trained 1)" --head=other --head-form=arcface_torch --shards=2
  cp other/* job_head
  exits 0 ranks 2 run "${run[@]}"
  for stage in given_original score prune; do ls -d job/"$stage".stale-* >/dev/null || die "$stage was not done again"; done
  exits 2 ranks 2 run "${run[@]}" --prune.method=aum
  says "a given network (model.checkpoint) is not trained here"
  rm -r job_head
}

[ "$case_name" = scores ] || checkpoint=$(checkpoint_after trained 2)
"$case_name"
echo "passed: $case_name"
