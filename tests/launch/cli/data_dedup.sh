#!/usr/bin/env bash
# `data dedup` and `data leaks` through the real program: data_dedup.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=12 --synthetic.images_per_identity=8 --synthetic.verification_pairs=40 \
  --synthetic.near_duplicates=0 --synthetic.flipped_labels=0
exits 0 diffprob data dedup --data.train=faces --output=clean
says "0 pairs inside an identity, 0 across identities; 0 copies dropped"

# Copies in the identity (same bytes, three of one image) and in another one, an unreadable image and one of one colour.
python3 - <<'PY'
import pathlib, struct, zlib
rec = open("faces/train.rec", "rb").read()
at = {int(k): int(o) for k, o in (line.split("\t") for line in open("faces/train.idx"))}
def image(key):
    length = struct.unpack_from("<I", rec, at[key] + 4)[0]
    payload = rec[at[key] + 8:at[key] + 8 + length]
    flag, label = struct.unpack_from("<If", payload)
    return payload[24 + 4 * flag:], int(struct.unpack_from("<f", payload, 24)[0] if flag else label)
keys = sorted(k for k in at if k > 0)
def save(label, name, data):
    folder = pathlib.Path(f"planted/{label:03d}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
count = 0
for key in keys:
    try:
        data, label = image(key)
    except struct.error:
        continue
    if not data:
        continue
    save(label, f"{key:04d}.jpg", data)
    if key == 5:
        save(label, "copy_a.jpg", data)
        save(label, "copy_b.jpg", data)
    if key == 20:
        save((label + 3) % 12, "copy_c.jpg", data)
    count += 1
save(4, "broken.jpg", b"no image")
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
grey = b"".join(b"\0" + b"\x80" * 3 * 112 for _ in range(112))
save(6, "grey.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 112, 112, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(grey)) + chunk(b"IEND", b""))
PY
exits 0 diffprob data dedup --data.train=planted --output=one
says "1 unreadable: 2 pairs inside an identity, 1 across identities; 3 copies dropped"
says "1 images cannot be read"
says "1 images have nearly one colour"
python3 - <<'PY'
import csv
rows = list(csv.DictReader(open("one/duplicates.csv")))
names = sorted((row["kind"], *sorted(row[f"sample_{x}"].split("/")[-1] for x in "ab"), row["distance"]) for row in rows)
assert names == [("across", "0020.jpg", "copy_c.jpg", "0"), ("near", "0005.jpg", "copy_a.jpg", "0"), ("near", "0005.jpg", "copy_b.jpg", "0")], names
assert all((row["identity_a"] == row["identity_b"]) == (row["kind"] == "near") and int(row["index_a"]) < int(row["index_b"]) for row in rows)
assert all(float(row["similarity"]) > 0.999 for row in rows)
PY
for n in 2 3 4; do
  exits 0 ranks $n data dedup --data.train=planted --output=ranks$n --data.decode_threads=2
  same one/duplicates.csv ranks$n/duplicates.csv
  same one/without_duplicates.h5 ranks$n/without_duplicates.h5
done
exits 0 diffprob data dedup --data.train=planted --data.kept=one/without_duplicates.h5 --output=again
says "0 unreadable: 0 pairs inside an identity, 0 across identities; 0 copies dropped"
exits 0 diffprob data pack planted packed --subset=again/without_duplicates.h5

# The report shows the pairs: two figures each.
figures() { grep -o "<figure" "$1" | wc -l; }
exits 0 diffprob report one --file=pairs.html
grep -q "Copies inside an identity (2)" pairs.html || die "the report does not count the copies inside an identity"
grep -q "Copies under two labels (1)" pairs.html || die "the report does not count the copies under two labels"
[ "$(figures pairs.html)" -eq 6 ] || die "the report shows $(figures pairs.html) images of 3 pairs"
exits 0 diffprob report clean --file=none.html
grep -q "No pairs were found" none.html || die "the report does not say that there are no copies"

# Test images of other people are no leak; one that is planted is found, and the training loses that image alone.
exits 0 diffprob data leaks --data.train=planted --eval.sets=faces/synthetic_verification.bin --output=none
says "0 pairs; 0 training images dropped"
python3 - <<'PY'
import pickle, pathlib
images, same = pickle.load(open("faces/synthetic_verification.bin", "rb"), encoding="bytes")
images = list(images)
images[7] = next(pathlib.Path("planted").glob("*/0031.jpg")).read_bytes()
images[9] = next(pathlib.Path("planted").glob("*/copy_a.jpg")).read_bytes()
pickle.dump((images, list(same)), open("leaky.bin", "wb"), protocol=2)
PY
for n in 1 3; do
  exits 0 ranks $n data leaks --data.train=planted --eval.sets=leaky.bin --output=leaks$n
  says "4 pairs; 4 training images dropped"
done
same leaks1/leaks.csv leaks3/leaks.csv
same leaks1/without_leaks.h5 leaks3/without_leaks.h5
grep -q "0031.jpg,leaky image 7 (pair 3)" leaks1/leaks.csv || die "the planted leak is not named"
exits 0 diffprob report leaks1 --file=leaks.html
grep -q "Images of test sets (4)" leaks.html || die "the report does not count the leaks"
[ "$(figures leaks.html)" -eq 8 ] || die "the report shows $(figures leaks.html) images of 4 leaks"
exits 0 diffprob data leaks --data.train=planted --data.kept=leaks1/without_leaks.h5 --eval.sets=leaky.bin --output=gone
says "0 pairs; 0 training images dropped"

# Bad inputs.
exits 2 diffprob data dedup --data.train=nowhere --output=bad
says "nowhere"
exits 2 diffprob data dedup --output=bad
says "data.train: is synthetic"
exits 2 diffprob data leaks --data.train=planted --output=bad
says "eval.sets: expected the .bin sets"
head -c 500 leaky.bin >cut.bin
exits 2 diffprob data leaks --data.train=planted --eval.sets=cut.bin --output=bad
says "cut.bin"
exits 2 diffprob data dedup --data.trian=planted
says "did you mean data.train"
exits 0 diffprob data dedup --data.train=planted --output=other --train.epochs=3
says "train.epochs has no effect: data dedup does not read it"
exits 0 diffprob data dedup --data.train=planted --output=dry --dry-run
[ ! -e dry/duplicates.csv ] || die "a dry run wrote a result"
exits 0 diffprob help data leaks
says "OUTPUT/without_leaks.h5"
echo "data dedup and data leaks: all cases passed"
