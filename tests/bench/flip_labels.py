#!/usr/bin/env python3
"""Faces of an InsightFace record set with planted label noise, as an image list.

    flip_labels.py FROM OUT [--share 0.1] [--seed 1] [--neighbours FILE]

FROM holds train.rec and train.idx. Writes OUT/faces.lst (im2rec form: index, label, path) with its images, and OUT/planted.csv as `diffprob data synth`
writes it: index,label,true_label,kind,source. The drawn samples exchange their labels so that each of them gets a wrong one: identities keep their
sizes. With --neighbours (a line an identity: the number of the one that it is most easily taken for) a drawn sample gets the label of the neighbour of its
identity instead, as people confuse faces. Images are in the order of the new labels (then of FROM), which `diffprob data pack` keeps, so `index` is the same in the list and in its pack.
"""
import argparse
import pathlib
import random
import struct
import sys

MAGIC = 0xCED7230A


def read_record(data, offset):
    """Record at `offset` -> (labels, payload behind them)."""
    if offset + 8 > len(data):
        sys.exit(f"no record at offset {offset}: the file has {len(data)} bytes")
    magic, word = struct.unpack_from("<II", data, offset)
    length = word & ((1 << 29) - 1)
    if magic != MAGIC or word >> 29 or length < 24 or offset + 8 + length > len(data):
        sys.exit(f"no whole record at offset {offset}")
    flag, label = struct.unpack_from("<If", data, offset + 8)
    if flag * 4 > length - 24:
        sys.exit(f"record at offset {offset}: {flag} labels do not fit into {length} bytes")
    labels = struct.unpack_from(f"<{flag}f", data, offset + 32) if flag else (label,)
    return labels, data[offset + 32 + 4 * flag:offset + 8 + length]


def read_faces(folder):
    """[(label, JPEG)] in the order of the set."""
    data = (folder / "train.rec").read_bytes()
    offsets = dict(map(int, line.split()) for line in (folder / "train.idx").read_text().splitlines())
    header, _ = read_record(data, offsets[0])
    faces = (read_record(data, offsets[key]) for key in range(1, int(header[0])))
    return [(int(labels[0]), image) for labels, image in faces]


def exchange_labels(labels, share, rng):
    """Labels after int(share * N + 0.5) drawn samples exchanged theirs, each for a wrong one."""
    drawn = rng.sample(range(len(labels)), int(share * len(labels) + 0.5))
    given = [labels[i] for i in drawn]
    rng.shuffle(given)
    for place, sample in enumerate(drawn):
        if given[place] != labels[sample]:
            continue
        fits = [j for j in range(len(drawn)) if given[j] != labels[sample] and given[place] != labels[drawn[j]]]
        if not fits:
            sys.exit(f"{len(drawn)} samples cannot exchange their labels: too many are of identity {labels[sample]}")
        other = rng.choice(fits)
        given[place], given[other] = given[other], given[place]
    noisy = list(labels)
    for sample, label in zip(drawn, given):
        noisy[sample] = label
    return noisy


def flip_to_neighbours(labels, share, neighbours, rng):
    """Labels after int(share * N + 0.5) drawn samples got that of the identity which theirs is taken for."""
    noisy = list(labels)
    for sample in rng.sample(range(len(labels)), int(share * len(labels) + 0.5)):
        noisy[sample] = neighbours[labels[sample]]
    return noisy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--neighbours", type=pathlib.Path)
    args = parser.parse_args()
    faces = read_faces(args.source)
    labels = [label for label, _ in faces]
    rng = random.Random(args.seed)
    if args.neighbours:
        noisy = flip_to_neighbours(labels, args.share, [int(line) for line in args.neighbours.read_text().split()], rng)
    else:
        noisy = exchange_labels(labels, args.share, rng)
    order = sorted(range(len(faces)), key=lambda i: (noisy[i], i))
    args.out.mkdir(parents=True, exist_ok=True)
    lines, planted = [], ["index,label,true_label,kind,source"]
    for index, i in enumerate(order):
        (args.out / f"{i}.jpg").write_bytes(faces[i][1])
        lines.append(f"{index}\t{noisy[i]}\t{i}.jpg")
        planted.append(f"{index},{noisy[i]},{labels[i]},{'plain' if noisy[i] == labels[i] else 'flipped_label'},-1")
    (args.out / "faces.lst").write_text("\n".join(lines) + "\n")
    (args.out / "planted.csv").write_text("\n".join(planted) + "\n")
    flips = sum(a != b for a, b in zip(labels, noisy))
    print(f"{args.out}: {flips} of {len(faces)} labels flipped")


if __name__ == "__main__":
    main()
