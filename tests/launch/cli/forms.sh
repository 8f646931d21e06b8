#!/usr/bin/env bash
# Forms of data that others have, through the real program: forms.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=4 --synthetic.images_per_identity=10 --synthetic.verification_pairs=10
# The images as files, and a list of them in another folder as `path label`.
python3 - <<'PY'
import os, struct
at = {int(k): int(o) for k, o in (line.split("\t") for line in open("faces/train.idx"))}
rec = open("faces/train.rec", "rb").read()
os.makedirs("lists")
with open("lists/train.txt", "w", encoding="utf-8-sig") as lines:
    for key in range(1, len(at) - 4):
        length = struct.unpack("<I", rec[at[key] + 4:at[key] + 8])[0]
        flag, label = struct.unpack("<If", rec[at[key] + 8:at[key] + 16])
        assert flag == 0, "the label is not a scalar"
        os.makedirs(f"images/{label:.0f}", exist_ok=True)
        open(f"images/{label:.0f}/{key}.jfif", "wb").write(rec[at[key] + 32:at[key] + 8 + length])
        lines.write(f"{label:.0f}\\{key}.jfif {label:.0f}\r\n")
PY

# data info, check, pack and train agree on the root of a list.
exits 1 diffprob data info lists/train.txt
says "--data.root=FOLDER"
exits 0 diffprob data info lists/train.txt --data.root=images
says "identities   4"
exits 2 diffprob data info lists/train.txt --data.rot=images
exits 0 diffprob data check lists/train.txt --data.root=images
says "of 4 identities"
exits 0 diffprob data pack lists/train.txt packed --data.root=images
cmp packed/train.rec faces/train.rec || die "the packed list is not the set that it was made of"
job=(--model.backbone=tiny --model.embedding_dim=16 --train.epochs=1 --train.batch_size=16)
exits 0 diffprob train --data.train=lists/train.txt --data.root=images "${job[@]}" --output=trained
exits 2 diffprob train --data.train=lists/train.txt --data.root=images --data.stage_dir=stage "${job[@]}" --output=other
says "data.root"

# One order per seed, for DALI.
exits 0 diffprob data pack faces one --layout=im2rec --shuffle=5
exits 0 diffprob data pack faces two --layout=im2rec --shuffle=5
exits 0 diffprob data pack faces three --layout=im2rec --shuffle=6
cmp one/train.rec two/train.rec || die "another order from the same seed"
! cmp -s one/train.rec three/train.rec || die "the same order from another seed"
exits 0 diffprob data check one
exits 2 diffprob data pack faces four --shuffle=5
says "add --layout=im2rec"

# A byte-order mark is skipped in every text file; UTF-16 is refused.
printf '\xef\xbb\xbftrain:\n  epochs: 3\n' >marked.yaml
exits 0 diffprob config marked.yaml
says "epochs: 3"
printf 'train:\n  epochs: 3\n' | iconv -t UTF-16 >wide.yaml
exits 2 diffprob config wide.yaml
says "wide.yaml: expected UTF-8 text"
cp -r faces marked
for file in train.idx property; do { printf '\xef\xbb\xbf'; cat faces/$file; } >marked/$file; done
exits 0 diffprob data check marked
exits 0 diffprob data info marked
iconv -t UTF-16 faces/train.idx >marked/train.idx
exits 1 diffprob data info marked
says "train.idx: expected UTF-8 text"
exits 1 diffprob data check marked
says "train.idx: expected UTF-8 text"
echo "forms: all as expected"
