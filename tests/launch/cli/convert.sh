#!/usr/bin/env bash
# Scores and lists of others through the real program: convert.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=8 --synthetic.images_per_identity=10 --synthetic.verification_pairs=10
samples=$(awk '$1 == "images" && NF == 2 {print $2}' "$log")

# Probabilities as numpy.savetxt writes them, and what a plain version of the paper's selection keeps of them.
python3 - "$samples" <<'PY'
import random, struct, sys
samples = int(sys.argv[1])
random.seed(5)
with open("faces/train.idx") as idx, open("faces/train.rec", "rb") as rec:
    offsets = {int(key): int(offset) for key, offset in (line.split("\t") for line in idx)}
    labels = []
    for key in range(1, samples + 1):
        rec.seek(offsets[key] + 8)
        labels.append(int(struct.unpack("<IfQQ", rec.read(24))[1]))
rows = [[struct.unpack("<f", struct.pack("<f", random.random() ** 0.2))[0] for _ in range(samples)] for _ in range(3)]
write = lambda name, lines: open(name, "w").write("".join(line + "\n" for line in lines))
write("prob_3.txt", ["%.18e" % p for p in rows[2]])
write("epochs.txt", [" ".join("%.18e" % p for p in row) for row in rows])
write("labels.txt", map(str, labels))
write("foreign.csv", ["path,probability,label"] + [f"{i}.jpg,{rows[2][i]!r},{labels[i]}" for i in range(samples)])

def keep(members, threshold, least):
    order = sorted(members, key=lambda i: (rows[2][i], i))[::-1]
    if len(order) <= least:
        return order
    d = 0.0
    while True:
        kept = order[:1]
        for i in order[1:]:
            if rows[2][kept[-1]] - rows[2][i] > (1 + d) * threshold:
                kept.append(i)
        if len(kept) >= least:
            return kept
        d -= 0.01

kept = sorted(i for c in set(labels) for i in keep([j for j in range(samples) if labels[j] == c], 0.05, 3))
assert 10 < len(kept) < samples - 10, len(kept)
dropped = [i for i in range(samples) if i not in kept]
write("expected.txt", ["kept_index = " + str(kept)])
write("dropped.txt", ["dropped_index = " + str(dropped)])
write("adaface.txt", [",".join(map(str, kept))])
write("lines.txt", map(str, kept))
write("keys.txt", [str(i + 1) for i in kept])
PY

# Scores: text, CSV and .npy lead to the same table and to the selection above.
exits 0 diffprob convert prob_3.txt scores.h5 --data=faces
says "without top1, scores can be pruned but not cleaned"
exits 0 diffprob convert epochs.txt last.h5 --data=faces --epoch=last
same scores.h5 last.h5
exits 1 diffprob convert epochs.txt any.h5 --data=faces
says "--epoch=last"
exits 0 diffprob convert epochs.txt first.h5 --data=faces --epoch=0
! cmp -s scores.h5 first.h5 || die "epoch 0 is epoch 2"
exits 0 diffprob convert foreign.csv csv.h5 --data=faces
says "unknown column 'path' was skipped"
same scores.h5 csv.h5
exits 0 diffprob convert scores.h5 all.csv
exits 0 diffprob convert all.csv again.h5 --data=faces
same scores.h5 again.h5
exits 0 diffprob convert scores.h5 prob.npy
exits 0 diffprob convert prob.npy npy.h5 --data=faces
same scores.h5 npy.h5
exits 0 diffprob convert scores.h5 nll.txt --value=nll
exits 0 diffprob convert nll.txt nll.h5 --value=nll --data=faces
exits 1 diffprob convert nll.txt wrong.h5 --data=faces
says "--value=nll when these are -log p"
exits 1 diffprob convert prob_3.txt none.h5
says "scores without labels"
exits 0 diffprob convert prob_3.txt unnamed.h5 --labels=labels.txt
exits 0 ranks 1 prune --prune.scores=scores.h5 --prune.clean=false --prune.preset=reference --prune.threshold=0.05 --prune.min_kept=3 --output=pruned
same pruned/kept_index.txt expected.txt
exits 0 ranks 2 prune --prune.scores=unnamed.h5 --prune.clean=false --prune.preset=reference --prune.threshold=0.05 --prune.min_kept=3 --output=pruned2
same pruned2/kept_index.txt expected.txt
! timeout 60 mpirun -np 1 "$program" prune --prune.scores=scores.h5 --output=cleaned >"$log" 2>&1 || die "cleaned without predictions"
says "these imported scores have only 'nll probability'"
says "--prune.clean=false"

# Lists: every form leads to the same kept list, and back.
exits 0 diffprob convert dropped.txt a.txt --data=faces
same a.txt expected.txt
exits 0 diffprob convert adaface.txt b.txt --kind=adaface
same b.txt expected.txt
exits 1 diffprob convert adaface.txt c.txt
says "Say it with --list=kept or --list=dropped"
exits 0 diffprob convert lines.txt c.txt --list=kept
same c.txt expected.txt
exits 0 diffprob convert keys.txt d.txt --list=kept --base=key
same d.txt expected.txt
exits 0 diffprob convert expected.txt keys2.txt --to=lines --to-base=key
same keys2.txt keys.txt
exits 0 diffprob convert pruned/index_set.h5 e.txt
same e.txt expected.txt
for kind in comma adaface lines npy-index cvlface npy-mask cleanlab dropped-index; do
  exits 0 diffprob convert expected.txt "list.$kind" --to="$kind" --data=faces
  case $kind in comma | lines | npy-index | npy-mask) meaning=--list=kept ;; *) meaning=--samples=$samples ;; esac
  exits 0 diffprob convert "list.$kind" "back.txt" --kind="$kind" "$meaning" --data=faces
  same back.txt expected.txt
done
exits 1 diffprob convert list.npy-mask back.txt
says "does not say whether True means kept or dropped"
exits 0 diffprob convert expected.txt kept.h5 --data=faces
exits 1 diffprob convert expected.txt kept.xyz
says "give --to=KIND"
exits 1 diffprob convert prob_3.txt kept.h5 --kind=lines --list=kept
says "line 1: expected a sample index"
exits 2 diffprob convert expected.txt kept2.h5 --lst=kept
says "--lst: unknown key, did you mean list?"
exits 2 diffprob convert expected.txt expected.txt
says "is the input itself"

# Packing: the same set from every form; training takes lists, too.
exits 0 diffprob data pack faces packed --subset=pruned/index_set.h5
exits 0 diffprob data pack faces packed2 --subset=keys.txt --base=key --list=kept
exits 0 diffprob data pack faces packed3 --subset=dropped.txt
for file in train.rec train.idx property label_map.txt source_index.txt; do same packed/$file packed2/$file; same packed/$file packed3/$file; done
exits 0 diffprob convert packed/source_index.txt back.txt --list=kept
same back.txt expected.txt
same packed/label_map.txt pruned/label_map.txt
exits 0 diffprob data info packed
says "images       $(grep -c . lines.txt)"
exits 0 diffprob data pack faces whole
same whole/train.rec faces/train.rec
exits 1 diffprob data pack faces nothing --subset=keys.txt
says "--list=kept"
exits 2 diffprob data pack faces faces --subset=lines.txt --list=kept
says "is the folder of the input set"
exits 0 diffprob data synth others --synthetic.identities=8 --synthetic.images_per_identity=10 --synthetic.verification_pairs=10 --seed=9
exits 1 diffprob data pack others nothing --subset=pruned/index_set.h5
for list in dropped.txt lines.txt list.npy-index; do
  exits 0 ranks 1 train --data.train=faces --data.kept=$list --train.batch_size=8 --dry-run --output=dry
done
! timeout 60 mpirun -np 1 "$program" train --data.train=faces --data.kept=list.npy-mask --dry-run --output=dry >"$log" 2>&1 || die "a mask was taken"
says "a mask does not say"

# Names of image files.
mkdir -p images/m.0a images/m.0b
for name in m.0a/1.jpg m.0a/2.jpg m.0b/1.jpg; do echo image >images/$name; done
printf 'm.0a m.0a/2.jpg\nm.0b m.0b/1.jpg\n' >celeb.txt
printf './m.0a/1.jpg\n' >noise.txt
exits 0 diffprob convert celeb.txt a.txt --kind=ms-celeb --data=images
exits 0 diffprob convert noise.txt b.txt --list=dropped --data=images
same a.txt b.txt
grep -qx 'kept_index = \[1, 2\]' a.txt || die "kept $(cat a.txt)"
exits 0 diffprob convert a.txt names.txt --to=names --data=images
printf 'm.0a/2.jpg\nm.0b/1.jpg\n' | cmp - names.txt || die "names differ"
exits 1 diffprob convert noise.txt b.txt --list=dropped
says "--data=PATH"
echo "passed: convert"
