#!/usr/bin/env bash
# `diffprob eval` as users run it: networks and features on a .bin set and on a small IJB folder: eval.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

# A network, pairs to verify, and 60 faces of 12 identities as an IJB folder: 20 templates, media of two images, one missing image, one bad one.
"$program" data synth faces --synthetic.identities=12 --synthetic.images_per_identity=5 --synthetic.verification_pairs=40 >"$log" 2>&1 || die synth
exits 0 ranks 1 train --threads=1 --data.train=faces --output=run --model.backbone=tiny --model.embedding_dim=32 --model.scale=32 --model.margin=0.1 \
  --train.epochs=1 --train.batch_size=20 --train.lr=0.05 --train.lr_reference_batch=0 --train.milestones=1
network=$(ls -d run/checkpoints/step_* | tail -n 1)
set=$(ls faces/*.bin)
python3 "$here/small_ijb.py" faces IJBC 60
rm IJBC/loose_crop/7.jpg
printf 'no picture' >IJBC/loose_crop/20.jpg
python3 - <<'PY'
import random, struct
random.seed(3)

# Features of others: .npy written out by hand, image and mirror image.
def npy(name, rows):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(rows), len(rows[0]))
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    with open(name, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        for row in rows:
            out.write(struct.pack("<%df" % len(row), *row))
npy("ijb.npy", [[random.gauss(0, 1) for _ in range(16)] for _ in range(60)])
npy("pairs.npy", [[random.gauss(0, 1) for _ in range(8)] for _ in range(80)])
npy("short.npy", [[1.0, 2.0]] * 59)
PY

for n in 1 2 3; do
  exits 0 ranks "$n" eval --model.checkpoint="$network" --eval.sets="$set" --eval.ijb=IJBC --eval.ijb_variants=F1N1D1,F0N0D0 --output="w$n" --json="w$n.json"
  says "2 of 60 images are missing or unreadable"
  says "F0N0D0 nearest FAR (reference)"
  exits 0 ranks "$n" eval --eval.features=ijb.npy --eval.features_hold=image_mirror --eval.ijb=IJBC --output="f$n" --json="f$n.json"
done
for n in 2 3; do
  same w1.json "w$n.json"
  same f1.json "f$n.json"
  same w1/missing_IJB-C.txt "w$n/missing_IJB-C.txt"
done
[ "$(tr '\n' ' ' <w1/missing_IJB-C.txt)" = "7.jpg 20.jpg " ] || die "missing images: $(cat w1/missing_IJB-C.txt)"
python3 - <<'PY'
import json
both = json.load(open("w1.json"))
(pairs,), (ijb,) = both["verification"], both["ijb"]
assert pairs["pairs"] == 40 and pairs["genuine"] + pairs["impostors"] == 40 and 0 <= pairs["accuracy"] <= 1
assert [row["meaningful"] for row in pairs["tar_at_far"]] == [row["far"] * pairs["impostors"] >= 1 for row in pairs["tar_at_far"]]
assert ijb["images"] == 60 and ijb["missing_images"] == 2 and ijb["templates"] == 20 and ijb["pairs"] == 190
assert [v["variant"] for v in ijb["variants"]] == ["F1N1D1", "F0N0D0"]
assert [r["gallery"] for r in ijb["variants"][0]["identification"]] == ["ijbc_1N_gallery_G1.csv", "ijbc_1N_gallery_G2.csv", "all"]
assert json.load(open("w1/eval.json")) == both["verification"] and json.load(open("w1/ijb.json")) == both["ijb"]
PY

# Evaluation does not touch the head: it works without the shards.
cp -r "$network" headless
rm headless/head.*
exits 0 ranks 2 eval --model.checkpoint=headless --eval.sets="$set" --eval.ijb=IJBC --eval.ijb_variants=F1N1D1,F0N0D0 --output=headless_out --json=headless.json
python3 -c 'import json; a, b = (json.load(open(f)) for f in ("w1.json", "headless.json")); assert a["ijb"] == b["ijb"] and a["verification"] == b["verification"]'
exits 2 ranks 1 score --data.train=faces --model.checkpoint=headless --output=x
says "head."

# The same network as a .pth, and features for a .bin.
"$program" export --model.checkpoint="$network" --file=backbone.pth >"$log" 2>&1 || die export
exits 0 ranks 1 eval --threads=1 --model.checkpoint=backbone.pth --model.backbone=tiny --model.embedding_dim=32 --eval.sets="$set" --eval.ijb=IJBC \
  --eval.ijb_variants=F1N1D1,F0N0D0 --output=pth --json=pth.json
python3 -c 'import json; a, b = (json.load(open(f)) for f in ("w1.json", "pth.json")); assert a["ijb"] == b["ijb"] and a["verification"] == b["verification"]'
exits 0 ranks 2 eval --eval.features=pairs.npy --eval.sets="$set" --output=p
[ -s p/eval.json ] || die "no eval.json"

# What cannot be.
exits 2 ranks 1 eval --eval.sets="$set" --output=x
says "model.checkpoint"
exits 2 ranks 1 eval --eval.features=ijb.npy --eval.ijb=IJBC,IJBC --output=x
exits 2 ranks 1 eval --eval.features=ijb.npy --eval.ijb=IJBC --output=x --json=nowhere/x.json
says "nowhere does not exist"
exits 2 ranks 1 eval --eval.features=ijb.npy --eval.ijb=IJBC --eval.ijb_variants=F1N1 --output=x
says 'got "F1N1"'
exits 2 ranks 1 eval --eval.features=ijb.npy --eval.ijb=IJBC --eval.ijb_variants=F1N1D1 --output=x
says "image_mirror"
exits 1 ranks 2 eval --eval.features=short.npy --eval.ijb=IJBC --output=x
says "59 rows, expected 60"
echo "100.jpg 1 1" >>IJBC/meta/ijbc_face_tid_mid.txt
exits 1 ranks 2 eval --eval.features=ijb.npy --eval.ijb=IJBC --output=x
says "ends after 60 images"
echo ok
