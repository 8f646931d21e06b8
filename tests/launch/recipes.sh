#!/usr/bin/env bash
# Every file of launch/configs is understood, and a dry run without its data set says what is missing and what else it needs: recipes.sh DIFFPROB_PROGRAM WORK_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/program.sh"

# Keys that only another network reads are without effect for the small one, whose needs are found in no time.
small=(--device=cpu --model.backbone=tiny --output=out)
for config in "$here"/../../launch/configs/*.yaml; do
  name=$(basename "$config" .yaml)
  exits 0 diffprob config "$config"
  if [ "$name" = quickstart ]; then
    exits 0 diffprob run "$config" "${small[@]}" --dry-run=8
    says "Needs of run on 8 ranks, estimated:"
    continue
  fi
  exits 2 diffprob train "$config" "${small[@]}" --data.train=nowhere --eval.sets= --dry-run=8
  says "Needs of train on 8 ranks, estimated:"
  says "data.train: nowhere"
  ! grep 'has no effect' "$log" | grep -v 'model.backbone is tiny\|eval.sets is empty' || die "keys of $name"
  [ "$name" != lfw ] || continue
  says "$(sed -n 's/^  expected_images: //p' "$config") images, $(sed -n 's/^  expected_identities: //p' "$config") identities"
  says " an epoch, "
done
# Another number of images than the recipe's is said.
exits 0 diffprob data synth faces --synthetic.identities=12 --synthetic.images_per_identity=8
exits 0 ranks 2 train "${small[@]}" --data.train=faces --data.expected_images=7 --data.expected_identities=12 --train.batch_size=16 --train.epochs=2 --train.milestones= \
  --train.warmup_epochs=0 --dry-run
says "data.expected_images: 7 images are expected, but data.train has"
[ "$(grep -c 'are expected' "$log")" -eq 1 ] || die "the number of identities is right"
says "Needs of train on 2 ranks, estimated:"
says "of gradients"
says "dry run: configuration and files are valid"
[ ! -e out ] || die "a dry run left a folder"
exits 2 diffprob train --dry-run=many
says "--dry-run: expected a number of ranks"
echo "passed: recipes"
