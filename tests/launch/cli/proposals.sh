#!/usr/bin/env bash
# Proposals of a small network, edited and applied, through the real program: proposals.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=6 --synthetic.images_per_identity=8 --synthetic.verification_pairs=10 \
  --synthetic.flipped_labels=0
samples=$(awk '$1 == "images" && NF == 2 {print $2}' "$log")
network="--data.train=faces --model.backbone=tiny --model.embedding_dim=32 --model.dropout=0 --model.scale=16 --train.batch_size=16 --train.epochs=4
  --train.lr=0.05 --train.lr_reference_batch=0 --train.milestones=[] --eval.sets=[] --data.decode_threads=1"
exits 0 ranks 1 train $network --output=trained
checkpoint=$(ls -d trained/checkpoints/step_* | tail -n 1)
exits 0 ranks 1 embed --data.train=faces --model.checkpoint="$checkpoint" --output=embedded
exits 0 ranks 1 score --data.train=faces --score.head=centroids --score.embeddings=embedded/embeddings.h5 --model.scale=16 --output=scored

# The same proposals on any number of ranks; without embeddings, what is left out is said.
prune() { exits 0 ranks "$1" prune --prune.scores=scored/scores.h5 --prune.method=none --data.train=faces --prune.proposals=true "${@:3}" --output="$2"; }
prune 1 one --score.embeddings=embedded/embeddings.h5
prune 3 three --score.embeddings=embedded/embeddings.h5
same one/proposals.csv three/proposals.csv
same one/summary.json three/summary.json
prune 2 without
says "no embeddings (score.embeddings)"
prune 1 precise1 --prune.clean_precision=0.5 --prune.clean_floor=5
prune 3 precise3 --prune.clean_precision=0.5 --prune.clean_floor=5
for file in index_set.h5 summary.json suspects.csv proposals.csv; do same "precise1/$file" "precise3/$file"; done
grep -q '"expected_wrong_labels"' precise1/summary.json || die "the summary does not say what was chosen"

# Lines as a person leaves them: sample 3 of identity 0 goes to 5, and 1 and 2 are one person.
python3 - <<'PY'
import struct
with open("faces/train.idx") as idx, open("faces/train.rec", "rb") as rec:
    offsets = {int(key): int(offset) for key, offset in (line.split("\t") for line in idx)}
    labels = []
    for key in range(1, max(offsets) + 1):
        rec.seek(offsets[key] + 8)
        flag, label = struct.unpack("<If", rec.read(8))
        if flag or len(labels) + 1 != key:
            break
        labels.append(int(label))
assert labels[3] == 0, labels
open("labels.txt", "w").write("".join(f"{label}\n" for label in labels))
header = open("one/proposals.csv").readline()
open("edited.csv", "w").write(header + "relabel,3,0,,5,,0.9,2,,1,\nmerge,,2,,1,,,,0.98,8,\n")
PY

# As it is, with lines deleted, and packed.
exits 0 diffprob data apply-proposals faces edited.csv all
says "1 samples relabelled, 1 merges of identities, 0 identities split (0 samples); 6 identities became 5"
[ ! -e all/train.rec ] || die "records that nobody asked for"
[ "$(sed -n 4p all/labels.txt)" = 4 ] || die "sample 3 has the label $(sed -n 4p all/labels.txt)"
exits 0 diffprob data apply-proposals faces edited.csv packed --records=true
same packed/labels.txt all/labels.txt
same packed/label_map.txt all/label_map.txt
exits 0 diffprob data info packed
says "identities   5"
says "images       $samples"
grep -v '^merge' edited.csv >relabel.csv
exits 0 diffprob data apply-proposals faces relabel.csv relabelled
says "0 merges of identities, 0 identities split (0 samples); 6 identities became 6"
head -n 1 edited.csv >none.csv
exits 0 diffprob data apply-proposals faces none.csv unchanged
same unchanged/labels.txt labels.txt

# What does not fit is refused and writes nothing.
cat relabel.csv <(sed -n 2p relabel.csv) >twice.csv
exits 1 diffprob data apply-proposals faces twice.csv refused
says "sample 3 is in lines 2 and 3"
[ ! -e refused ] || die "something was written"
exits 1 diffprob data apply-proposals packed relabel.csv refused
says "but the data set has the identities 0 to 4"
exits 2 diffprob data apply-proposals faces relabel.csv refused --layout=im2rec
says "--records=true, which is missing"
exits 2 diffprob data apply-proposals faces relabel.csv faces
says "is the folder of the input set"
exits 2 ranks 1 prune --prune.scores=scored/scores.h5 --data.train=faces --data.kept=one/kept_index.txt --prune.proposals=true --output=part
says "leave data.kept"
exits 2 ranks 1 prune --prune.scores=scored/scores.h5 --data.train=faces --prune.clean_precision=0.9 --prune.clean_margin=1 --output=part
says "expected only one of them above 0"
