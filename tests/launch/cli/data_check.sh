#!/usr/bin/env bash
# `data check` through the real program: data_check.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=8 --synthetic.images_per_identity=10 --synthetic.verification_pairs=10 --synthetic.near_duplicates=0
exits 0 diffprob data check faces --report=clean.json --kept=all.txt
says "no problems found"

# Damage that training does not see when it opens the set.
cp -r faces hurt
python3 - <<'PY'
import struct
rec = bytearray(open("hurt/train.rec", "rb").read())
at = {int(k): int(o) for k, o in (line.split("\t") for line in open("hurt/train.idx"))}
length = lambda key: struct.unpack("<I", rec[at[key] + 4:at[key] + 8])[0]
rec[at[3] + 32:at[3] + 36] = b"hurt"                                # start of the JPEG
rec[at[20] + 8 + length(20) - 300:at[20] + 8 + length(20)] = bytes(300)  # its end
struct.pack_into("<f", rec, at[30] + 12, 7.0)                       # label of another identity
open("hurt/train.rec", "wb").write(rec)
PY
exits 1 diffprob data check hurt --report=hurt.json --kept=kept.h5 --data.decode_threads=3
says "3 findings"
says "corrupt: sample 2, key 3"
says "truncated: sample 19, key 20"
says "label: sample 29, key 30"
python3 - <<'PY'
import json
clean, hurt = json.load(open("clean.json")), json.load(open("hurt.json"))
assert clean["opens"] and clean["totals"]["findings"] == 0 and all(items == [] for items in clean["findings"].values())
assert hurt["format"] == "diffprob-data-check" and hurt["format_version"] == 1 and hurt["opens"]
assert {kind: [item["key"] for item in items] for kind, items in hurt["findings"].items() if items} == \
    {"corrupt": [3], "truncated": [20], "label": [30]}, hurt
assert hurt["totals"]["sound"] == clean["totals"]["samples"] - 3
PY
exits 0 diffprob data pack hurt packed --subset=kept.h5
exits 0 diffprob data check packed
exits 0 diffprob train --data.train=hurt --data.kept=kept.h5 --model.backbone=tiny --model.embedding_dim=16 --train.epochs=1 --train.batch_size=16 \
  --data.on_corrupt=fail --output=trained
[ -n "$(ls trained/checkpoints)" ] || die "training on the kept list left no checkpoint"

# Damage for which training refuses the set: no list helps, a repaired copy does.
cp -r hurt broken
sed -i '5d' broken/train.idx
exits 1 diffprob data check broken --kept=broken.h5 --repair=mended
says "training rejects this set"
says "--repair=OUT writes its valid images as a new set"
[ ! -e broken.h5 ] || die "a kept list of a set that does not open"
exits 0 diffprob data check mended
cmp mended/train.rec packed/train.rec || die "the repaired set is not the sound part"
exits 2 diffprob data check hurt --repair=hurt
says "is the folder of the input set"
exits 2 diffprob data check hurt --reprot=x
says "did you mean report"
exits 2 diffprob data check
exits 1 diffprob data check nowhere
says "does not exist"

# A broken .idx of a sound .rec: the message says what to do, and it works.
cp -r faces overflowed
sed -i '7s/\t.*/\t-1/' overflowed/train.idx
exits 1 diffprob data info overflowed
says "Remove overflowed/train.idx"
rm overflowed/train.idx
exits 0 diffprob data info overflowed

# A list whose labels have gaps is sound; packing renumbers when it is asked to.
mkdir listed
python3 - <<'PY'
import struct
rec = open("faces/train.rec", "rb").read()
at = {int(k): int(o) for k, o in (line.split("\t") for line in open("faces/train.idx"))}
with open("listed/faces.lst", "w") as lines:
    for i, key in enumerate(range(1, 7)):
        length = struct.unpack("<I", rec[at[key] + 4:at[key] + 8])[0] & 0x1fffffff
        open(f"listed/{i}.jpg", "wb").write(rec[at[key] + 32:at[key] + 8 + length])
        lines.write(f"{i}\t{(45, 99, 6573525)[i // 2]}\t{i}.jpg\n")
PY
exits 1 diffprob data check listed/faces.lst --kept=listed/kept.txt
says "identities 100 to 6573524 have no image"
grep -q "0, 1, 2, 3, 4, 5" listed/kept.txt || die "a person with a large label was dropped"
exits 1 diffprob data pack listed/faces.lst packed_list
says "data.labels=dense"
exits 0 diffprob data pack listed/faces.lst packed_list --data.labels=dense
says "packed 6 images of 3 identities, renumbered from 6573526 labels"
grep -q "6573525: 2" packed_list/label_map.txt || die "the label map lacks the old label"
exits 0 diffprob data check packed_list

# Folders that are nearly a data set: the message names what may be meant.
mkdir -p nearly/nested/part0/a links && cp listed/0.jpg nearly/nested/part0/a/
exits 1 diffprob data info nearly/nested
says "give nearly/nested/part0 as the data set"
ln -s /nowhere/train.rec links/train.rec
exits 1 diffprob data info links
says "links/train.rec: is a link to /nowhere/train.rec, which is not there"
mkdir other && cp faces/train.rec other/casia.rec
exits 1 diffprob data info other
says "give that file, other/casia.rec"

# Images that no reader takes are findings, and one warning in training.
mkdir -p folder/a folder/b && printf x > folder/a/1.jpg && printf y > folder/b/1.jpg
cp folder/a/1.jpg folder/a/002.jpg.1
exits 1 diffprob data check folder
says "002.jpg.1: left out, no image by its ending"

# A result that did not arrive is a failure.
exits 1 bash -c "'$program' data info faces 2>'$log' >/dev/full"
says "standard output could not be written in full"
exits 1 bash -c "'$program' config --print-defaults 2>'$log' >/dev/full"
echo "data check: all as expected"
