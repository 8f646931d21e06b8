#!/usr/bin/env bash
# What `diffprob eval` leaves for other programs (pair scores, ROC curves, tables of all checkpoints of a folder), and `diffprob run` on IJB:
# eval_outputs.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

"$program" data synth faces --synthetic.identities=12 --synthetic.images_per_identity=5 --synthetic.verification_pairs=43 >"$log" 2>&1 || die synth
python3 "$here/small_ijb.py" faces IJBC 60
set=$(ls "$PWD"/faces/*.bin)
cp "$set" second.bin
recipe=(--model.backbone=tiny --model.embedding_dim=32 --model.scale=32 --model.margin=0.1 --train.batch_size=20 --train.lr=0.05
  --train.lr_reference_batch=0 --train.milestones=2)
exits 0 ranks 2 train --threads=1 --data.train=faces --eval.sets="$set" --output=run "${recipe[@]}" --train.epochs=3 --train.keep_checkpoints=9
says "XNorm"
grep '"kind":"eval"' run/metrics.jsonl | grep -q '"xnorm":[0-9]' || die "metrics.jsonl has no xnorm"
grep -q '"xnorm":[0-9]' run/verification.json || die "verification.json has no xnorm"
mapfile -t checkpoints < <(ls -d run/checkpoints/step_*)
[ "${#checkpoints[@]}" -eq 3 ] || die "expected 3 checkpoints"

# Scores and curves of two sets and two pooling variants, the same on any number of ranks.
for n in 1 2 3 4; do
  mkdir "w$n"
  suffixes=(csv)
  if [ "$n" != 2 ]; then suffixes+=(npy h5); fi
  for suffix in "${suffixes[@]}"; do
    exits 0 ranks "$n" eval --threads=1 --model.checkpoint="${checkpoints[2]}" --eval.sets="$set" --eval.ijb=IJBC --eval.ijb_variants=F1N1D1,F0N0D0 \
      --output="w$n/out" --scores="w$n/s.$suffix" --roc="w$n/roc.csv" --json="w$n/results.json"
  done
done
name=$(basename "$set" .bin)
for n in 2 3 4; do
  for file in s.{csv,npy,h5} roc.csv; do
    [ "$n" != 2 ] || [ "${file##*.}" = csv ] || continue
    for part in "$name" IJB-C.F1N1D1 IJB-C.F0N0D0; do same "w1/${file%.*}.$part.${file##*.}" "w$n/${file%.*}.$part.${file##*.}"; done
  done
  same w1/results.json "w$n/results.json"
done
python3 "$here/check_outputs.py" w1 "$name" IJBC || die "the files contradict the results"

# One set: the file has the name that was given. Features made elsewhere have scores, too.
exits 0 ranks 2 eval --model.checkpoint="${checkpoints[2]}" --eval.sets="$set" --output=one --eval.scores=one.csv
same one.csv "w1/s.$name.csv"
exits 0 diffprob report one w1/out --file=two.html
python3 "$here/../report/check_report.py" two.html "ROC: $name" "ROC: IJB-C, F0N0D0" evaluated >/dev/null || die "the report has no curves of evaluations"
python3 - <<'PY'
import random, struct
random.seed(3)
text = "{'descr': '<f4', 'fortran_order': False, 'shape': (60, 16), }"
text += " " * (63 - (10 + len(text)) % 64) + "\n"
with open("ijb.npy", "wb") as out:
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
    out.write(struct.pack("<960f", *(random.gauss(0, 1) for _ in range(960))))
PY
exits 0 ranks 2 eval --eval.features=ijb.npy --eval.ijb=IJBC --output=features --scores=features.csv
[ "$(wc -l <features.csv)" -eq 191 ] || die "expected 190 pairs of templates"

# All checkpoints of a folder: each as if alone, one table.
folder_of() { exits "$1" ranks 2 eval --threads=1 --model.checkpoint="$2" --eval.sets="$set,second.bin" --eval.ijb=IJBC --output="$3" --json="$3.json" "${@:4}"; }
folder_of 0 run/checkpoints all --scores=all.csv
says "best: highest mean accuracy over the verification sets"
[ "$(wc -l <all/networks.csv)" -eq 4 ] || die "expected a row for each of 3 checkpoints"
folder_of 0 run all_of_output
same all/networks.csv all_of_output/networks.csv
same all/networks.json all.json
for checkpoint in "${checkpoints[@]}"; do
  step=$(basename "$checkpoint")
  exits 0 ranks 1 eval --threads=1 --model.checkpoint="$checkpoint" --eval.sets="$set,second.bin" --eval.ijb=IJBC --output=alone --json="alone_$step.json"
  python3 - "$step" <<'PY' || die "$step: the table has other results than an evaluation of it alone"
import json, sys
step = sys.argv[1]
alone = json.load(open(f"alone_{step}.json"))
(row,) = [n for n in json.load(open("all.json"))["networks"] if n["network"] == step]
assert row["verification"] == alone["verification"] and row["ijb"] == alone["ijb"]
assert row["step"] == int(step[5:]) and row["epoch"] == row["step"] // 3
PY
  [ -s "all.$step.$name.csv" ] && [ -s "all.$step.second.csv" ] && [ -s "all.$step.IJB-C.csv" ] || die "no scores of $step"
done
python3 - <<'PY' || die "the best network is another one"
import csv, json
rows = list(csv.DictReader(open("all/networks.csv")))
best = max(rows, key=lambda row: float(row["mean_accuracy"]))
assert [row["network"] for row in rows if row["best"] == "1"] == [best["network"]] == [json.load(open("all.json"))["best"]]
PY

# Corrupted ones are named and skipped; the exit code says so at the end.
cp -r run/checkpoints damaged
printf '\xff' | dd of="damaged/$(basename "${checkpoints[1]}")/backbone.pth" bs=1 seek=3000 conv=notrunc status=none
folder_of 1 damaged part
says "damaged/$(basename "${checkpoints[1]}") is skipped: "
says "backbone.pth: is corrupted: its SHA-256 is not the one in manifest.json"
says "these networks were skipped as unusable: $(basename "${checkpoints[1]}")"
[ "$(grep -c ',skipped\|is corrupted' part/networks.csv)" -eq 1 ] || die "networks.csv does not name the corrupted checkpoint"
[ "$(cut -d, -f1-4 part/networks.csv | grep -v "$(basename "${checkpoints[1]}")")" = \
  "$(cut -d, -f1-4 all/networks.csv | grep -v "$(basename "${checkpoints[1]}")")" ] || die "the others have other results"
for checkpoint in damaged/step_*; do truncate -s 100 "$checkpoint/manifest.json"; done
folder_of 1 damaged none
says "manifest.json"
[ "$(wc -l <none/networks.csv)" -eq 4 ] || die "expected a row for each corrupted checkpoint"

# Files N*.pth, as the paper's code leaves them beside heads.
mkdir weights
for i in 1 2; do "$program" export --model.checkpoint="${checkpoints[$i]}" --file="weights/1${i}backbone.pth" >"$log" 2>&1 || die export; done
printf 'a head' >weights/12header.pth
folder_of 0 weights of_weights --model.backbone=tiny --model.embedding_dim=32
for i in 1 2; do
  [ "$(sed -n "$((i + 2))p" all/networks.csv | cut -d, -f4-8)" = "$(sed -n "$((i + 1))p" of_weights/networks.csv | cut -d, -f4-8)" ] ||
    die "1${i}backbone.pth has other results than its checkpoint"
done
printf 'no weights' >weights/13backbone.pth
folder_of 1 weights of_bad_weights --model.backbone=tiny --model.embedding_dim=32
says "weights/13backbone.pth is skipped"

# What cannot be, found before anything is evaluated.
bad() { exits 2 ranks 1 eval --model.checkpoint="${checkpoints[2]}" --eval.sets="$set" --output=x "$@"; }
bad --scores=x.txt
says "eval.scores: x.txt: expected a name that ends with .csv, .npy, .h5 or .hdf5"
bad --scores=nowhere/x.csv
says "eval.scores: the folder nowhere does not exist"
bad --roc=x.npy
says "eval.roc: x.npy: expected a name that ends with .csv"
mkdir folder.csv
bad --roc=folder.csv
says "eval.roc: folder.csv is a folder"
mkdir empty
exits 2 ranks 1 eval --model.checkpoint=empty --eval.sets="$set" --output=x
says "empty: holds no network; expected a checkpoint"
[ -z "$(ls -A x)" ] || die "a refused evaluation has written $(ls -A x)"

# `run` verifies its networks on IJB, each in a stage of its own.
run() { exits 0 ranks "$1" run --threads=1 --data.train=faces --eval.sets="$set" --eval.ijb=IJBC --output=ijb_run "${recipe[@]}" --train.epochs=1 "${@:2}"; }
run 2
says "IJB-C F1N1D1"
for stage in ijb_original ijb_pruned_s0; do [ -s "ijb_run/$stage/ijb.json" ] && [ -s "ijb_run/$stage/roc.IJB-C.F1N1D1.csv" ] || die "no results in $stage"; done
python3 - <<'PY' || die "summary.json has not what the stages have"
import json
models = json.load(open("ijb_run/summary.json"))["models"]
for model, stage in zip(models[1:], ["ijb_original", "ijb_pruned_s0"]):
    (ijb,) = json.load(open(f"ijb_run/{stage}/ijb.json"))
    (mine,) = model["ijb"]
    assert mine["tar_at_far"] == ijb["variants"][0]["tar_at_far"] and mine["set"] == "IJB-C"
    assert len(model["xnorm"]) == len(model["accuracy"]) == 1
assert "ijb" not in models[0]
PY
python3 "$here/../report/check_report.py" ijb_run/report.html "ROC: IJB-C, F1N1D1" "1e-06" "XNorm" >/dev/null || die "the report has no IJB"
cp -r ijb_run/ijb_original first
run 1
[ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 6 ] || die "expected 6 stages to be skipped"
run 1 --eval.ijb_variants=F1N1D1,F0N0D0
[ "$(grep -c 'inputs unchanged: skipped' "$log")" -eq 4 ] || die "expected only IJB to be evaluated again"
python3 - <<'PY' || die "another number of ranks has other results"
import json
first, again = (json.load(open(f"{f}/ijb.json"))[0] for f in ("first", "ijb_run/ijb_original"))
assert again["variants"][0] == first["variants"][0] and len(again["variants"]) == 2
PY
exits 2 ranks 1 run --data.train=faces --eval.ijb=empty --output=x "${recipe[@]}"
says "eval.ijb"
exits 2 ranks 1 run --data.train=faces --eval.ijb=IJBC --eval.ijb_variants=F9 --output=x "${recipe[@]}"
says 'got "F9"'
echo ok
