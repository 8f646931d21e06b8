#!/usr/bin/env bash
# `data dedup`, `data leaks` and `data overlap` by embedding through the real program, and IJB folders by pixels:
# data_neighbours.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=12 --synthetic.images_per_identity=12 --synthetic.verification_pairs=40 \
  --synthetic.near_duplicates=0 --synthetic.flipped_labels=0

# Folders with names; embeddings near the one of their person, copies of others among them; a second set that shares 4 people, one
# of them under another name; a test set, and an IJB folder whose crops are aligned already.
cat >make.py <<'PY'
import math, os, pathlib, pickle, random, struct
rec = open("faces/train.rec", "rb").read()
at = {int(k): int(o) for k, o in (line.split("\t") for line in open("faces/train.idx"))}
images = {}
for key in sorted(k for k in at if k > 0):
    length = struct.unpack_from("<I", rec, at[key] + 4)[0]
    payload = rec[at[key] + 8:at[key] + 8 + length]
    flag, label = struct.unpack_from("<If", payload)
    if payload[24 + 4 * flag:]:
        images.setdefault(int(struct.unpack_from("<f", payload, 24)[0] if flag else label), []).append(payload[24 + 4 * flag:])
dice = random.Random(1)
vector = lambda: [dice.gauss(0, 1) for _ in range(48)]
near = lambda v, noise: [x + noise * dice.gauss(0, 1) for x in v]
def npy(path, rows):
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(rows), len(rows[0]))
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for row in rows:
            out.write(struct.pack("<%df" % len(row), *row))
people = {label: vector() for label in images}
def save(folder, name, image):
    os.makedirs(folder, exist_ok=True)
    (pathlib.Path(folder) / name).write_bytes(image)
images = {label: of_person[:6] for label, of_person in images.items()}
rows = {}
for label, of_person in images.items():
    for i, image in enumerate(of_person):
        name = f"p{label:02d}/{i}.jpg"
        save(f"set/p{label:02d}", f"{i}.jpg", image)
        rows[name] = near(people[label], 0.7)
rows["p03/4.jpg"] = near(rows["p03/1.jpg"], 0.05)   # inside an identity
rows["p05/2.jpg"] = near(rows["p01/0.jpg"], 0.05)   # under a wrong label
save("set/p07", "z.jpg", images[7][0])              # a copy by pixels and by embedding
rows["p07/z.jpg"] = near(rows["p07/0.jpg"], 0.001)
npy("set.npy", [rows[name] for name in sorted(rows)])
npy("short.npy", [rows[name] for name in sorted(rows)][:-1])
npy("narrow.npy", [row[:40] for _, row in sorted(rows.items())])
other, of_other = {}, {2: "p02", 4: "p04", 6: "p06", 8: "someone", 20: "q20", 21: "q21"}
for label, folder in of_other.items():
    for i in range(4):
        save(f"other/{folder}", f"{i}.jpg", images[label % 12][i])
        other[f"{folder}/{i}.jpg"] = near(people.setdefault(label, vector()), 0.3)
npy("other.npy", [other[name] for name in sorted(other)])
pairs = [images[9][0], images[9][1]] + [images[10][i] for i in (0, 1, 0, 2)]
pickle.dump((pairs, [True] * 3), open("test.bin", "wb"), protocol=2)
test = [near(rows["p09/0.jpg"], 0.02)] + [vector() for _ in range(5)]
test[4] = test[2]
npy("test.npy", test)
os.makedirs("IJBC/meta", exist_ok=True)
points = "38.2946 51.6963 73.5318 51.5014 56.0252 71.7366 41.5493 92.3655 70.7299 92.2041"
for name, image in (("1.jpg", images[11][3]), ("2.jpg", images[0][0])):
    save("IJBC/loose_crop", name, image)
open("IJBC/meta/ijbc_face_tid_mid.txt", "w").write("1.jpg 1 1\n2.jpg 2 2\n3.jpg 2 3\n")
open("IJBC/meta/ijbc_name_5pts_score.txt", "w").write("".join(f"{i}.jpg {points} 0.9\n" for i in (1, 2, 3)))
open("IJBC/meta/ijbc_template_pair_label.txt", "w").write("1 2 0\n")
PY
python3 make.py

# By embedding only: each planted copy, whatever the number of ranks.
for n in 1 2 3 4; do
  exits 0 ranks $n data dedup --data.train=set --neighbours.embeddings=set.npy --neighbours.pixels=false --output=near$n \
    --neighbours.near=0.9 --neighbours.across=0.9 --neighbours.stray=0.4
  says "2 pairs inside an identity, 1 across identities; 3 copies dropped"
  same near1/duplicates.csv near$n/duplicates.csv
  same near1/without_duplicates.h5 near$n/without_duplicates.h5
done
python3 - <<'PY'
import csv
rows = [(r["kind"], r["by"], r["sample_a"], r["sample_b"], r["similarity"], r["distance"]) for r in csv.DictReader(open("near1/duplicates.csv"))]
assert rows == [("across", "embedding", "p01/0.jpg", "p05/2.jpg", "", ""), ("near", "embedding", "p03/1.jpg", "p03/4.jpg", "", ""),
                ("near", "embedding", "p07/0.jpg", "p07/z.jpg", "", "")], rows
assert all(0.99 < float(r["cosine"]) <= 1 for r in csv.DictReader(open("near1/duplicates.csv")))
PY
# Both ways at once: the copy is found by both.
exits 0 ranks 2 data dedup --data.train=set --neighbours.embeddings=set.npy --output=both --neighbours.near=0.9 --neighbours.across=0.9 \
  --neighbours.stray=0.4
says "2 pairs inside an identity, 1 across identities (1 by pixels, 3 by embedding); 3 copies dropped"
grep -q "near,both,1.0000,0,1.0000,.*p07/0.jpg.*p07/z.jpg" both/duplicates.csv || die "the copy was not found by both"

# Leaks: an image of the .bin by pixels and by embedding, others by pixels only; an image of the IJB folder by pixels, one missing.
for n in 1 3; do
  exits 0 ranks $n data leaks --data.train=set --eval.sets=test.bin --neighbours.embeddings=set.npy --neighbours.other_embeddings=test.npy \
    --neighbours.across=0.9 --output=leaks$n
  says "5 different test images of 1 sets, 0 unreadable: 5 pairs (5 by pixels, 1 by embedding)"
done
same leaks1/leaks.csv leaks3/leaks.csv
grep -q "^both,1.0000,0,.*p09/0.jpg,test image 0 (pair 0)" leaks1/leaks.csv || die "the leak was not found by both"
for n in 1 2; do
  exits 0 ranks $n data leaks --data.train=set --eval.ijb=IJBC --output=ijb$n --data.decode_threads=2
  says "3 different test images of 1 sets, 1 unreadable: 2 pairs"
  says "test sets: 1 images cannot be read"
done
same ijb1/leaks.csv ijb2/leaks.csv
grep -q "p11/3.jpg,IJB-C image 1.jpg" ijb1/leaks.csv || die "the image of the IJB folder was not found"

# Overlap: three people by name and by centre, one by centre only.
exits 0 diffprob data overlap --data.train=set --neighbours.other=other --output=names
says "3 of 12 identities of data.train are among the 6 of other, where they are 3 identities (3 pairs by name, 0 by centre)"
for n in 1 3; do
  exits 0 ranks $n data overlap --data.train=set --neighbours.other=other --neighbours.embeddings=set.npy \
    --neighbours.other_embeddings=other.npy --output=overlap$n
  says "4 of 12 identities of data.train are among the 6 of other, where they are 4 identities (3 pairs by name, 4 by centre)"
done
same overlap1/overlap.csv overlap3/overlap.csv
same overlap1/without_shared.h5 overlap3/without_shared.h5
grep -q "^8,p08,6,5,someone,4,centre,0\.9" overlap1/overlap.csv || die "the person with another name was not found"
exits 0 diffprob data pack set packed --subset=overlap1/without_shared.h5
says "packed 49 of 73 images and 8 of 12 identities"
# A packed set has names when a list or identities.txt is beside it.
exits 1 diffprob data overlap --data.train=packed --neighbours.other=other --output=unnamed
says "neither folders of images nor a train.lst or identities.txt"
printf '%s\n' p00 p01 p03 p05 p07 p09 p10 p02 >packed/identities.txt
exits 0 diffprob data overlap --data.train=packed --neighbours.other=other --output=unnamed
says "1 of 8 identities of data.train"

# Bad inputs.
exits 2 diffprob data dedup --data.train=set --neighbours.pixels=false --output=bad
says "expected at least one way to compare images"
exits 2 diffprob data dedup --data.train=set --neighbours.embeddings=nowhere.h5 --output=bad
says "nowhere.h5"
exits 1 ranks 2 data dedup --data.train=set --neighbours.embeddings=short.npy --output=bad
says "short.npy: 72 embeddings, but data.train has 73 images"
exits 2 diffprob data leaks --data.train=set --eval.sets=test.bin --neighbours.embeddings=set.npy --output=bad
says "neighbours.other_embeddings: expected one file for each of the 1 sets"
exits 2 diffprob data leaks --data.train=set --eval.sets=test.bin --neighbours.embeddings=narrow.npy --neighbours.other_embeddings=test.npy --output=bad
says "expected embeddings of one network"
exits 2 diffprob data overlap --data.train=set --output=bad
says "neighbours.other: expected the data set"
exits 2 diffprob train --data.train=test.bin --output=bad
says "is a verification set"
exits 0 diffprob data dedup --data.train=set --neighbours.near=0.5 --output=other_key --dry-run
says "neighbours.near has no effect: neighbours.embeddings is not given"
exits 0 diffprob help data overlap
says "OUTPUT/without_shared.h5"
echo "data dedup, leaks and overlap by embedding: all cases passed"
