#!/usr/bin/env bash
# `diffprob embed`, scores with class centres made from embeddings, and out-of-sample scores: centroids.sh DIFFPROB_PROGRAM WORK_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"
common=(--device=cpu --threads=1 --data.decode_threads=1)
options=(--data.train=faces "${common[@]}")
recipe=(--model.backbone=tiny --model.embedding_dim=32 --model.scale=32 --model.margin=0.1 --train.batch_size=20 --train.lr=0.05
  --train.lr_reference_batch=0 --train.milestones=2 --train.tensorboard=false)
network=(--model.backbone=tiny --model.embedding_dim=32)

exits 0 diffprob data synth faces --synthetic.identities=12 --synthetic.images_per_identity=7 --synthetic.verification_pairs=20 \
  --synthetic.verification_identities=6
exits 0 diffprob data synth others --synthetic.identities=6 --synthetic.images_per_identity=4 --seed=7
exits 0 ranks 2 train "${options[@]}" "${recipe[@]}" --train.epochs=3 --output=trained
checkpoint=$(ls -d trained/checkpoints/step_* | tail -n 1)
exits 0 diffprob export --model.checkpoint="$checkpoint" --file=backbone.pth
given=("${network[@]}" --model.checkpoint=backbone.pth)

# Embeddings: of a weight file and of its checkpoint, any number of ranks, any form.
exits 0 ranks 1 embed "${options[@]}" --model.checkpoint="$checkpoint" --output=of_checkpoint
for n in 1 2 3 4; do
  exits 0 ranks "$n" embed "${options[@]}" "${given[@]}" --output="e$n" --score.batch_per_rank=16 --score.part_samples=$((17 * n))
  same e1/embeddings.h5 "e$n/embeddings.h5"
  [ ! -e "e$n/embeddings.parts" ] || die "parts were left behind"
done
exits 0 ranks 2 embed "${options[@]}" "${given[@]}" --output=npy --embed.format=npy
exits 0 ranks 3 embed "${options[@]}" "${given[@]}" --output=mirrored --embed.format=npy --embed.mirror=true
exits 0 ranks 2 embed "${options[@]}" "${given[@]}" --output=half --embed.format=npy --embed.type=float16
exits 0 ranks 2 embed "${options[@]}" "${given[@]}" --output=half --embed.type=float16
python3 - <<'PY' || die "the arrays do not agree"
import struct
def npy(path):
    raw = open(path, "rb").read()
    length, = struct.unpack("<H", raw[8:10])
    head, body = eval(raw[10:10 + length]), raw[10 + length:]
    kind = {"<f4": "f", "<f2": "e"}[head["descr"]]
    values = struct.unpack(f"<{len(body) // struct.calcsize(kind)}{kind}", body)
    rows, columns = head["shape"]
    return [values[i * columns:(i + 1) * columns] for i in range(rows)]
plain, mirrored, half = (npy(f"{f}/embeddings.npy") for f in ("npy", "mirrored", "half"))
assert len(plain) == len(mirrored) == len(half) and len(plain[0]) == 32 and len(mirrored[0]) == 64
for a, b, c in zip(plain, mirrored, half):
    assert b[:32] == a and b[32:] != a
    assert all(struct.unpack("<e", struct.pack("<e", x))[0] == y for x, y in zip(a, c))
PY

# Scores: from the network in one pass and in two, from a file of embeddings, on 1 to 4 ranks. nll of a score file is read as text.
for n in 1 2 3 4; do
  exits 0 ranks "$n" score "${options[@]}" "${given[@]}" --score.head=centroids --output="s$n" --score.part_samples=$((19 * n))
  same s1/scores.h5 "s$n/scores.h5"
done
says "class centres from its embeddings"
exits 0 ranks 2 score "${options[@]}" "${given[@]}" --score.head=centroids --score.keep_gib=0 --output=twice
says "embeds the data set twice"
same s1/scores.h5 twice/scores.h5
table() { exits 0 diffprob convert "$1/scores.h5" "$1/table.csv" --to=csv; }
exits 0 ranks 3 score "${options[@]}" --score.head=centroids --score.embeddings=e1/embeddings.h5 --output=of_file
for folder in s1 of_file; do table "$folder"; done
same s1/table.csv of_file/table.csv

# A run takes the network of model.checkpoint instead of a first training, and every method and cleaning rule has its scores.
exits 0 ranks 2 run "${options[@]}" "${recipe[@]}" --train.epochs=1 --eval.sets="$(ls "$PWD"/faces/*.bin)" --model.checkpoint=backbone.pth \
  --score.head=centroids --output=run
[ ! -e run/train_original ] || die "the original was trained"
grep -q "class centres from its embeddings, given and not trained here" run/summary.txt || die "the summary does not say what was given"
exits 0 ranks 1 prune --data.train=faces --prune.scores=s1/scores.h5 --prune.method=el2n --prune.clean_rule=confident --output=pruned
# Without model.checkpoint it trains the original first.
exits 0 ranks 2 run "${options[@]}" "${recipe[@]}" --train.epochs=1 --eval.sets="$(ls "$PWD"/faces/*.bin)" --score.head=centroids --output=run2
[ -e run2/train_original ] && [ -e run2/score/scores.h5 ] || die "no training or no scores"

# Out of sample: a network per fold, in stages of their own; a run that is started again trains none of them again.
folds() {
  exits "$1" ranks 2 run "${options[@]}" "${recipe[@]}" --train.epochs=1 --eval.sets="$(ls "$PWD"/faces/*.bin)" --score.folds=3 --prune.clean=false \
    --output=folds "${@:2}"
}
folds 0
for fold in 0 1 2; do [ -e "folds/train_fold$fold/stage.json" ] && [ -e "folds/score_fold$fold/scores.h5" ] || die "no fold $fold"; done
table folds/score
[ "$(wc -l <folds/score/table.csv)" -eq "$(wc -l <s1/table.csv)" ] || die "the folds are not the whole set"
cp folds/score/scores.h5 before.h5
folds 0 --prune.keep_ratio=0.6
same before.h5 folds/score/scores.h5
[ "$(grep -c 'inputs unchanged: skipped' "$log")" -ge 8 ] || die "folds were made again"
folds 2 --score.head=centroids
says "score.folds scores with the heads that were trained with its networks"
folds 2 --score.head=centroids --model.checkpoint=backbone.pth
says "score.folds trains networks of its own"

# Embeddings of a verification set, in its order, and leaks by them: a test image that is a training image is found.
python3 - <<'PY2'
import pickle, struct
rec = open("faces/train.rec", "rb").read()
offsets = {int(k): int(o) for k, o in (line.split("\t") for line in open("faces/train.idx"))}
length, = struct.unpack_from("<I", rec, offsets[5] + 4)
payload = rec[offsets[5] + 8:offsets[5] + 8 + length]
flag, = struct.unpack_from("<I", payload)
images, same = pickle.load(open("faces/synthetic_verification.bin", "rb"), encoding="bytes")
images = list(images)
images[6] = payload[24 + 4 * flag:]
pickle.dump((images, list(same)), open("leaky.bin", "wb"), protocol=2)
PY2
for n in 1 2; do
  exits 0 ranks $n embed --data.train=leaky.bin "${common[@]}" "${given[@]}" --output="bin$n"
  says "embeddings of 40 samples, 32 columns"
  same bin1/embeddings.h5 "bin$n/embeddings.h5"
done
exits 0 ranks 2 data leaks "${options[@]}" --eval.sets=leaky.bin --neighbours.embeddings=e1/embeddings.h5 \
  --neighbours.other_embeddings=bin1/embeddings.h5 --neighbours.across=0.9999 --neighbours.centre=0.1 --output=leaks
grep -q "both,1.0000,0,1.0000,.*,leaky image 6 (pair 3)" leaks/leaks.csv || die "the planted leak was not found by both"
exits 2 ranks 1 data leaks "${options[@]}" --eval.sets=leaky.bin --neighbours.embeddings=of_checkpoint/embeddings.h5 \
  --neighbours.other_embeddings=e1/scores.h5 --output=x
says "e1/scores.h5"

# What cannot be.
exits 2 ranks 1 score "${options[@]}" --score.head=centroids --output=x
says "model.checkpoint: this command needs it"
exits 2 ranks 1 embed "${options[@]}" --model.checkpoint=trained/checkpoints --output=x
says "is a folder of checkpoints, expected one network"
exits 2 ranks 1 score --data.train=others "${common[@]}" --score.head=centroids --score.embeddings=e1/embeddings.h5 --output=x
says "of another data set than data.train"
exits 2 ranks 1 score "${options[@]}" --score.head=centroids --score.embeddings=s1/scores.h5 --output=x
says "s1/scores.h5"
exits 0 ranks 1 score "${options[@]}" --model.checkpoint="$checkpoint" --score.keep_gib=1 --output=warned
says "--score.keep_gib has no effect: score.head is not centroids"
echo "passed"
