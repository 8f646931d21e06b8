#!/usr/bin/env python3
"""Plants changed copies of images in a data set, and judges `diffprob data dedup` by them.

    planted_copies.py plant DATA OUT [SEED]     DATA: folder with train.rec. OUT: a folder per identity, and planted.csv
    planted_copies.py judge OUT/planted.csv DUPLICATES.csv [KNOWN.csv]
    planted_copies.py curve OUT/planted.csv DUPLICATES.csv [KNOWN.csv]    recall and wrong pairs by least cosine of embeddings

Every image has at most one copy. KNOWN.csv: duplicates.csv of DATA itself, whose pairs are no mistakes. Needs cv2 and numpy.
"""
import collections
import csv
import pathlib
import random
import struct
import sys


def records(path):
    """Encoded images and labels."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 4)[0] & ((1 << 29) - 1)
        payload = data[at + 8:at + 8 + length]
        at += 8 + (length + 3) // 4 * 4
        flag, label = struct.unpack_from("<If", payload)
        image = payload[24 + 4 * flag:]
        if image:
            yield image, int(struct.unpack_from("<f", payload, 24)[0] if flag else label)


def kinds(cv2, np, dice):
    def encode(pixels, quality=90):
        return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()

    def crop(pixels, most, places):
        """Without `most` pixels in each direction."""
        x, y = dice.choice(places), dice.choice(places)
        side = pixels.shape[0] - most
        return cv2.resize(pixels[y:y + side, x:x + side], pixels.shape[:2], interpolation=cv2.INTER_LINEAR)

    def gain(pixels, factor):
        return np.clip(pixels * factor + 0.5, 0, 255).astype(np.uint8)

    return {
        "jpeg_30": lambda p: encode(p, 30),
        "jpeg_60": lambda p: encode(p, 60),
        "jpeg_95": lambda p: encode(p, 95),
        "mirror": lambda p: encode(p[:, ::-1]),
        "mirror_jpeg_50": lambda p: encode(p[:, ::-1], 50),
        "crop_4": lambda p: encode(crop(p, 4, range(5))),
        "crop_4_each_side": lambda p: encode(crop(p, 8, [4])),
        "mirror_crop_4": lambda p: encode(crop(p[:, ::-1], 4, range(5)), 75),
        "brightness_+20": lambda p: encode(gain(p, 1.2)),
        "brightness_-20": lambda p: encode(gain(p, 0.8)),
        "other_label": lambda p: encode(p, 95),
        "other_label_mirror": lambda p: encode(p[:, ::-1], 75),
    }


def plant(data, out, seed):
    import cv2
    import numpy as np
    dice = random.Random(seed)
    images = list(records(data / "train.rec"))
    classes = 1 + max(label for _, label in images)
    changes = kinds(cv2, np, dice)
    sources = dice.sample(range(len(images)), len(images) // len(changes) * len(changes))

    def write(label, name, content):
        folder = out / f"{label:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return f"{label:06d}/{name}"

    names = [write(label, f"{i:06d}.jpg", image) for i, (image, label) in enumerate(images)]
    with open(out / "planted.csv", "w") as planted:
        planted.write("kind,source,copy\n")
        for place, source in enumerate(sources):
            kind = list(changes)[place % len(changes)]
            image, label = images[source]
            if kind.startswith("other_label"):
                label = (label + dice.randrange(1, classes)) % classes
            copy = changes[kind](cv2.imdecode(np.frombuffer(image, np.uint8), 1))
            planted.write(f"{kind},{names[source]},{write(label, f'{source:06d}_{kind}.jpg', copy)}\n")


def short(name):
    return "/".join(name.split("/")[-2:])


def rows(path):
    with open(path, newline="") as file:
        yield from csv.DictReader(file)


class Truth:
    """A pair is right when its images come from one source, or from two that KNOWN pairs."""

    def __init__(self, planted, known):
        self.source_of, self.kind_of = {}, {}
        for row in rows(planted):
            self.kind_of[frozenset((row["source"], row["copy"]))] = row["kind"]
            self.source_of[row["copy"]] = row["source"]
        self.alike = {frozenset((int(row["index_a"]), int(row["index_b"]))) for row in rows(known)} if known else set()

    def kind(self, row):
        """Of a planted pair, "other" for another one that is right, None for a wrong one."""
        pair = frozenset((short(row["sample_a"]), short(row["sample_b"])))
        numbers = frozenset(int(pathlib.Path(self.source_of.get(name, name)).stem) for name in pair)
        return self.kind_of.get(pair) or ("other" if len(numbers) == 1 or numbers in self.alike else None)


def curve(planted, found, known):
    """Pairs inside identities and across them, from each least cosine on."""
    truth = Truth(planted, known)
    is_across = lambda kind: kind.startswith("other_label")
    total = collections.Counter(is_across(kind) for kind in truth.kind_of.values())
    pairs = [(float(row["cosine"]), row["kind"] == "across", truth.kind(row)) for row in rows(found) if row["cosine"]]
    print("least cosine | inside: recall, wrong pairs | across: recall, wrong pairs")
    for percent in [*range(60, 96, 5), 96, 97, 98, 99]:
        line = [f"{percent / 100:.2f}"]
        for across in (False, True):
            kinds = [kind for cosine, where, kind in pairs if cosine >= percent / 100 and where == across]
            right = sum(kind not in (None, "other") for kind in kinds)
            line.append(f"{right / max(1, total[across]):.4f}  {kinds.count(None):6}")
        print(" | ".join(line))


def judge(planted, found, known):
    truth = Truth(planted, known)
    kind_of = truth.kind_of
    planted_of, right, wrong = collections.Counter(kind_of.values()), collections.Counter(), []
    other = 0
    for row in rows(found):
        kind = truth.kind(row)
        if kind == "other":
            other += 1
        elif kind:
            right[kind] += 1
        else:
            names = sorted((short(row["sample_a"]), short(row["sample_b"])))
            wrong.append((*names, row["similarity"], row["distance"], row["cosine"]))
    for kind, count in planted_of.items():
        print(f"{kind:20} {right[kind]:5} of {count:5}  recall {right[kind] / count:.4f}")
    total, hits = sum(planted_of.values()), sum(right.values())
    print(f"{'all':20} {hits:5} of {total:5}  recall {hits / total:.4f}; {len(wrong)} wrong pairs, "
          f"precision {hits / max(1, hits + len(wrong)):.4f}; {other} more pairs of known copies")
    for pair in wrong[:40]:
        print("  wrong:", *pair)


if __name__ == "__main__":
    if len(sys.argv) >= 4 and sys.argv[1] == "plant":
        plant(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int((sys.argv + ["1"])[4]))
    elif len(sys.argv) >= 4 and sys.argv[1] in ("judge", "curve"):
        (judge if sys.argv[1] == "judge" else curve)(sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None)
    else:
        sys.exit(__doc__)
