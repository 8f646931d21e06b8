#!/usr/bin/env python3
"""What proposals.csv finds of planted errors: identities cut in two, two people under one label, exchanged labels. Recall and precision of each kind, and
false alarms on the same set as it is.

    DIFFPROB_TEST_DATA=FOLDER tests/bench/proposals.py OUT [--set lfw] [--each 15] [--share 0.05] [--own] [--precision 0.9] [--epochs 8] [--seed 1]

FOLDER as for evidence.py. Of 3 * EACH drawn identities of at least 12 images, EACH are cut in two and EACH pairs are joined; SHARE of the images of all others
exchange labels. The network is one of other people; --own: also one that is trained on the wrong labels. Scores are leave-one-out (score.head=centroids).
Goes on with OUT when it was cut off. Table on stderr, JSON on stdout. Standard library alone. DIFFPROB and RANKS as for evidence.py.
"""
import argparse
import csv
import json
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import evidence  # noqa: E402
from flip_labels import exchange_labels, read_faces  # noqa: E402

LEAST = 12


def plant(persons, each, share, rng):
    """Labels of persons with planted errors -> (labels, {person: second label}, {person: person whose label it has}, flipped samples)."""
    sizes = {}
    for person in persons:
        sizes[person] = sizes.get(person, 0) + 1
    drawn = rng.sample(sorted(p for p, n in sizes.items() if n >= LEAST), 3 * each)
    halves = {person: max(persons) + 1 + k for k, person in enumerate(drawn[:each])}
    joined = dict(zip(drawn[each:2 * each], drawn[2 * each:]))
    labels, seen = [], {}
    for person in persons:
        seen[person] = seen.get(person, 0) + 1
        labels.append(halves[person] if person in halves and seen[person] % 2 == 0 else joined.get(person, person))
    touched = set(drawn)
    others = [i for i, person in enumerate(persons) if person not in touched]
    flipped = set()
    if share > 0:
        noisy = exchange_labels([labels[i] for i in others], share, rng)
        for i, label in zip(others, noisy):
            if labels[i] != label:
                flipped.add(i)
                labels[i] = label
    return labels, halves, joined, flipped


def write_set(faces, labels, folder):
    """Packs the faces under dense labels -> (order of the packed samples, dense label of each)."""
    dense = {label: k for k, label in enumerate(sorted(set(labels)))}
    order = sorted(range(len(labels)), key=lambda i: labels[i])
    if not (folder / "data" / "train.rec").exists():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        with open(folder / "faces.lst", "w") as out:
            for place, i in enumerate(order):
                (folder / "images" / f"{place}.jpg").write_bytes(faces[i][1])
                out.write(f"{place}\t{dense[labels[i]]}\timages/{place}.jpg\n")
        subprocess.run([evidence.PROGRAM, "data", "pack", folder / "faces.lst", folder / "data"], check=True, stdout=subprocess.DEVNULL)
    return order, dense


def proposals(folder, what, checkpoint, precision):
    """proposals.csv with embeddings of this network, and without."""
    data = f"--data.train={folder / 'data'}"
    embedded, scored = folder / f"embed_{what}", folder / f"score_{what}"
    if not (embedded / "embeddings.h5").exists():
        evidence.program("embed", f"--output={embedded}", data, f"--model.checkpoint={checkpoint}")
    embeddings = f"--score.embeddings={embedded / 'embeddings.h5'}"
    if not (scored / "scores.h5").exists():
        evidence.program("score", f"--output={scored}", data, "--score.head=centroids", "--model.scale=16", embeddings)
    tables = {}
    for name, keys in (("embeddings", [embeddings]), ("confusions", [])):
        pruned = folder / f"prune_{what}_{name}"
        evidence.program("prune", f"--output={pruned}", data, f"--prune.scores={scored / 'scores.h5'}", "--prune.method=none", "--prune.proposals=true",
                         f"--prune.clean_precision={precision}", *keys)
        with open(pruned / "proposals.csv", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    return tables


def share_of(hits, all_of):
    return f"{hits}/{all_of}" + (f" = {hits / all_of:.2f}" if all_of else "")


def judge(rows, persons, order, dense, halves, joined, flipped):
    """persons: of the samples before packing."""
    result = {}
    relabels = [order[int(r["index"])] for r in rows if r["kind"] == "relabel"]
    right = [r for r in rows if r["kind"] == "relabel" and order[int(r["index"])] in flipped
             and int(r["proposed"]) == dense.get(persons[order[int(r["index"])]])]
    found = sum(i in flipped for i in relabels)
    result["relabel"] = {"precision": share_of(found, len(relabels)), "recall": share_of(found, len(flipped)),
                         "of the found to the right identity": share_of(len(right), found)}
    planted = {frozenset((dense[person], dense[second])) for person, second in halves.items()}
    merges = [frozenset((int(r["identity"]), int(r["proposed"]))) for r in rows if r["kind"] == "merge"]
    hits = sum(pair in planted for pair in merges)
    result["merge"] = {"precision": share_of(hits, len(merges)), "recall": share_of(hits, len(planted))}
    mixed = {dense[label] for label in joined.values()}
    split = {}
    for r in rows:
        if r["kind"] == "split":
            split.setdefault(int(r["identity"]), []).append(persons[order[int(r["index"])]])
    hits = sum(c in mixed for c in split)
    pure = [max(moved.count(p) for p in set(moved)) / len(moved) for c, moved in split.items() if c in mixed]
    result["split"] = {"precision": share_of(hits, len(split)), "recall": share_of(hits, len(mixed)),
                       "samples of one person": round(sum(pure) / len(pure), 3) if pure else None}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--set", default="lfw")
    parser.add_argument("--each", type=int, default=15)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--precision", default="0.9", help="prune.clean_precision, which decides what is relabelled; 0: the rule 'mispredicted' alone")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--other-epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    data = pathlib.Path(os.environ["DIFFPROB_TEST_DATA"]).resolve() / "data"
    args.out.mkdir(parents=True, exist_ok=True)
    others = evidence.other_people(data, args.set, args.out, args.other_epochs)
    faces = read_faces(data / args.set)
    persons = [label for label, _ in faces]
    report = []
    for name, each, share in (("planted", args.each, args.share), ("as it is", 0, 0.0)):
        folder = args.out / name.replace(" ", "_")
        labels, halves, joined, flipped = plant(persons, each, share, random.Random(args.seed))
        order, dense = write_set(faces, labels, folder)
        networks = {"other_people": others}
        if args.own:
            networks["own"] = evidence.train(folder / "train", f"--data.train={folder / 'data'}", f"--train.epochs={args.epochs}")
        for what, checkpoint in networks.items():
            for source, rows in proposals(folder, what, checkpoint, args.precision).items():
                entry = {"set": name, "network": what, "from": source, **judge(rows, persons, order, dense, halves, joined, flipped)}
                report.append(entry)
                print(json.dumps(entry), file=sys.stderr, flush=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
