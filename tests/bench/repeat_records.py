#!/usr/bin/env python3
"""A large set from a small one, for timings: repeat_records.py FROM OUT IMAGES

Repeats the images of FROM/train.rec (InsightFace layout) until there are IMAGES, and writes OUT/train.rec, train.idx and property. Each round is
other people (labels go on), and each image gets a JPEG comment with its number, so that no two are the same bytes. Standard library alone.
"""
import os
import pathlib
import struct
import sys

from flip_labels import MAGIC, read_faces

MAGIC_BYTES = struct.pack("<I", MAGIC)


def positions(payload):
    at = payload.find(MAGIC_BYTES)
    while at >= 0:
        yield at
        at = payload.find(MAGIC_BYTES, at + 1)


def main():
    source, out, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    images = sorted(read_faces(pathlib.Path(source)), key=lambda item: item[0])
    classes = images[-1][0] + 1
    os.makedirs(out, exist_ok=True)
    first_keys = []
    with open(os.path.join(out, "train.rec"), "wb") as rec, open(os.path.join(out, "train.idx"), "w") as idx:

        def write(key, labels, image=b""):
            payload = struct.pack("<IfQQ", len(labels), 0, key, 0) + struct.pack(f"<{len(labels)}f", *labels) + image
            assert all(at % 4 for at in positions(payload)), f"record {key} would have to be split"
            idx.write(f"{key}\t{rec.tell()}\n")
            rec.write(struct.pack("<II", MAGIC, len(payload)) + payload + bytes(-len(payload) % 4))

        for number in range(wanted):
            label, image = images[number % len(images)]
            label += number // len(images) * classes
            if label == len(first_keys):
                first_keys.append(number + 1)
            write(number + 1, [label, 1], image[:2] + b"\xff\xfe\x00\x0a%08d" % number + image[2:])
        count = len(first_keys)
        write(0, [wanted + 1, wanted + 1 + count])
        for c, first in enumerate(first_keys):
            write(wanted + 1 + c, [first, first_keys[c + 1] if c + 1 < count else wanted + 1])
    with open(os.path.join(out, "property"), "w") as file:
        file.write(f"{count},112,112\n")


if __name__ == "__main__":
    main()
