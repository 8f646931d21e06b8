#!/usr/bin/env python3
"""Which scores find wrong labels? Real faces with flipped labels; the same network scored by the head that was trained with it, and by class
centres from its embeddings with the sample left out; and a network of other people. Precision, recall and area under the precision-recall curve.

    DIFFPROB_TEST_DATA=FOLDER tests/bench/evidence.py OUT [--shares 0.05,0.1,0.2,0.4] [--epochs 8] [--sets lfw] [--kinds uniform,confusion] [--folds 0] [--seed 1] [--cleaning]

FOLDER/data holds lfw and lfw_long (train.rec, train.idx, identities.txt). Flips are uniform (drawn samples exchange their labels) or by confusion (a drawn
sample gets the label of the identity nearest to its own in the embeddings of the network of other people). That network is trained on the identities of
the other set that this one has not; where there are none (lfw_long holds all people of lfw), the neighbours are those of a network of the set's own
true labels, and scores of other people are left out. --cleaning: also what `diffprob prune` drops with each rule and with several prune.clean_precision. Goes on with OUT when it was cut off. Tables on stderr, JSON on stdout. Standard library alone.
DIFFPROB=build/release/diffprob, RANKS=2.
"""
import argparse
import csv
import json
import os
import pathlib
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.environ.get("DIFFPROB", str(HERE.parent.parent / "build/release/diffprob"))
RANKS = os.environ.get("RANKS", "2")
RECIPE = ["--model.backbone=tiny", "--model.embedding_dim=128", "--model.dropout=0", "--model.scale=16", "--model.margin=0", "--augment.crop=0.3",
          "--augment.low_resolution=0.2", "--augment.photometric=0.3", "--train.lr_reference_batch=0", "--train.milestones=[]",
          "--train.tensorboard=false", "--train.eval_every_epochs=0", "--data.decode_threads=1", "--eval.sets=[]", "--train.batch_size=64",
          "--train.lr=0.05", "--train.ema_decay=0.99"]
OTHER = {"lfw": "lfw_long", "lfw_long": "lfw"}


def program(*words):
    done = subprocess.run(["mpirun", "-np", RANKS, "--bind-to", "none", "--oversubscribe", PROGRAM, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def network(folder):
    return sorted((folder / "checkpoints").glob("step_*"))[-1]


def train(folder, *keys):
    if not (folder / "done").exists():
        program("train", f"--output={folder}", *RECIPE, *keys)
        (folder / "done").touch()
    return network(folder)


def names(data, name):
    return (data / name / "identities.txt").read_text().split()


def labels_of(folder):
    sys.path.insert(0, str(HERE))
    from flip_labels import read_faces
    return [label for label, _ in read_faces(folder)]


def other_people(data, name, out, epochs):
    """Network trained on the people of the other set that this one has not."""
    other = OTHER[name]
    here = set(names(data, name))
    foreign = {i for i, person in enumerate(names(data, other)) if person not in here}
    kept = [i for i, label in enumerate(labels_of(data / other)) if label in foreign]
    folder = out / f"others_of_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    kept_list = folder.with_suffix(".txt")
    kept_list.write_text(f"kept_index = {kept}\n")
    print(f"{other}: {len(kept)} images of {len(foreign)} people that are not in {name}", file=sys.stderr)
    if not kept:
        return None
    return train(folder, f"--data.train={data / other}", f"--data.kept={kept_list}", "--data.labels=dense", f"--train.epochs={epochs}")


def neighbours(data, name, checkpoint, out):
    """The identity nearest to each, by the mean embedding."""
    folder = out / f"embeddings_{name}"
    if not (folder / "embeddings.npy").exists():
        program("embed", f"--output={folder}", f"--data.train={data / name}", f"--model.checkpoint={checkpoint}", "--embed.format=npy")
    raw = (folder / "embeddings.npy").read_bytes()
    start = 10 + struct.unpack("<H", raw[8:10])[0]
    labels = labels_of(data / name)
    dim = (len(raw) - start) // 4 // len(labels)
    means = [[0.0] * dim for _ in range(max(labels) + 1)]
    for i, label in enumerate(labels):
        row = struct.unpack_from(f"<{dim}f", raw, start + 4 * dim * i)
        length = sum(x * x for x in row) ** 0.5
        means[label] = [a + x / length for a, x in zip(means[label], row)]
    unit = []
    for mean in means:
        length = sum(x * x for x in mean) ** 0.5
        unit.append([x / length for x in mean])
    nearest = [max((sum(x * y for x, y in zip(a, b)), j) for j, b in enumerate(unit) if j != i)[1] for i, a in enumerate(unit)]
    path = out / f"neighbours_{name}.txt"
    path.write_text("".join(f"{j}\n" for j in nearest))
    return path


def noisy_set(data, name, share, kind, seed, nearest, out):
    folder = out / f"{name}_{kind}_{share}"
    if not (folder / "data" / "train.rec").exists():
        options = ["--neighbours", nearest] if kind == "confusion" else []
        subprocess.run([sys.executable, HERE / "flip_labels.py", data / name, folder / "flipped", "--share", str(share), "--seed", str(seed), *options],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([PROGRAM, "data", "pack", folder / "flipped" / "faces.lst", folder / "data", "--data.labels=dense"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    return folder


def read_scores(folder):
    table = folder / "scores.csv"
    subprocess.run([PROGRAM, "convert", folder / "scores.h5", table, "--to=csv"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(table, newline="") as file:
        return list(csv.DictReader(file))


def scored(folder, what, *keys):
    target = folder / what
    if not (target / "scores.h5").exists():
        program("score", f"--output={target}", f"--data.train={folder / 'data'}", "--data.decode_threads=1", *keys)
    return read_scores(target)


def score_folds(folder, folds, epochs):
    """Scores of `diffprob run --score.folds`, whose trainings before and after them are kept as short as can be."""
    if (folder / "folds" / "scores.h5").exists():
        return
    run = folder / "folds_run"
    program("run", f"--output={run}", f"--data.train={folder / 'data'}", *RECIPE, f"--train.epochs={epochs}", f"--score.folds={folds}",
            "--prune.method=random", "--prune.clean=false", "--prune.keep_ratio=0.05")
    (folder / "folds").mkdir()
    os.link(run / "score" / "scores.h5", folder / "folds" / "scores.h5")


def average_precision(order, wrong):
    """Area under the precision-recall curve of samples in this order, most suspicious first."""
    found, total = 0, 0.0
    for place, sample in enumerate(order, start=1):
        if wrong[sample]:
            found += 1
            total += found / place
    return total / max(found, 1)


def judge(rows, wrong):
    nll = [float(r["nll"]) for r in rows]
    # log p of the best other class minus that of the label
    excess = []
    for r in rows:
        other = float(r["second_log_prob"]) if r["top1"] == r["label"] else float(r["top1_log_prob"])
        excess.append(other + float(r["nll"]))
    dropped = [i for i, r in enumerate(rows) if r["top1"] != r["label"]]
    flips = sum(wrong)
    hits = sum(wrong[i] for i in dropped)
    by = {"self_confidence": nll, "margin": excess, "cosine": [-float(r["cosine"]) for r in rows]}
    result = {"mispredicted_precision": hits / max(len(dropped), 1), "mispredicted_recall": hits / flips}
    for key, values in by.items():
        result[f"auprc_{key}"] = average_precision(sorted(range(len(rows)), key=lambda i: -values[i]), wrong)
    best = sorted(range(len(rows)), key=lambda i: -excess[i])[:flips]
    result["precision_at_true_number"] = sum(wrong[i] for i in best) / flips
    return {key: round(value, 4) for key, value in result.items()}


RULES = ["mispredicted", "confident", "predicted_neq_given", "low_self_confidence", "low_normalized_margin", "confident_learning", "prune_by_class",
         "prune_by_noise_rate_top1", "both_top1"]
PRECISIONS = ["0.5", "0.7", "0.8", "0.9", "0.95"]


def cleaned(folder, what, wrong):
    """Precision and recall of what `diffprob prune` drops, by rule and by precision that was asked for."""
    result = {}
    keys = [(rule, [f"--prune.clean_rule={rule}"]) for rule in RULES]
    keys += [(f"precision {p}", [f"--prune.clean_precision={p}"]) for p in PRECISIONS]
    keys += [(f"confident, precision {p}", ["--prune.clean_rule=confident", f"--prune.clean_precision={p}"]) for p in PRECISIONS]
    for name, options in keys:
        target = folder / f"prune_{what}_{name.replace(' ', '_').replace(',', '')}"
        subprocess.run([PROGRAM, "prune", f"--output={target}", f"--prune.scores={folder / what / 'scores.h5'}", "--prune.method=none", *options],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(target / "suspects.csv", newline="") as file:
            dropped = [int(row["index"]) for row in csv.DictReader(file) if row["dropped"] == "1"]
        hits = sum(wrong[i] for i in dropped)
        result[name] = {"dropped": len(dropped), "precision": round(hits / max(len(dropped), 1), 3), "recall": round(hits / sum(wrong), 3)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--shares", default="0.05,0.1,0.2,0.4")
    parser.add_argument("--kinds", default="uniform,confusion")
    parser.add_argument("--sets", default="lfw")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--folds", type=int, default=0, help="out-of-sample scores, too, with so many folds")
    parser.add_argument("--other-epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cleaning", action="store_true")
    args = parser.parse_args()
    data = pathlib.Path(os.environ["DIFFPROB_TEST_DATA"]).resolve() / "data"
    args.out.mkdir(parents=True, exist_ok=True)
    report = []
    for name in args.sets.split(","):
        others = other_people(data, name, args.out, args.other_epochs)
        judge_network = others or train(args.out / f"true_labels_of_{name}", f"--data.train={data / name}", f"--train.epochs={args.epochs}")
        nearest = neighbours(data, name, judge_network, args.out)
        for kind in args.kinds.split(","):
            for share in map(float, args.shares.split(",")):
                folder = noisy_set(data, name, share, kind, args.seed, nearest, args.out)
                with open(folder / "flipped" / "planted.csv", newline="") as file:
                    wrong = [row["kind"] == "flipped_label" for row in csv.DictReader(file)]
                own = train(folder / "train", f"--data.train={folder / 'data'}", f"--train.epochs={args.epochs}")
                for what, keys in (("trained", [f"--model.checkpoint={own}"]),
                                   ("leave_one_out", [f"--model.checkpoint={own}", "--score.head=centroids", "--model.scale=16"]),
                                   ("other_people", [f"--model.checkpoint={others}", "--score.head=centroids", "--model.scale=16"]),
                                   ("folds", None)):
                    if what == "other_people" and others is None:
                        continue
                    if what == "folds":
                        if not args.folds:
                            continue
                        score_folds(folder, args.folds, args.epochs)
                    entry = {"set": name, "flips": kind, "share": share, "scores": what, **judge(scored(folder, what, *(keys or [])), wrong)}
                    if args.cleaning:
                        entry["cleaning"] = cleaned(folder, what, wrong)
                    report.append(entry)
                    print(" ".join(f"{key}={value}" for key, value in entry.items() if key != "cleaning"), file=sys.stderr, flush=True)
                    for rule, value in entry.get("cleaning", {}).items():
                        print(f"    {rule:28} dropped {value['dropped']:5} precision {value['precision']:.3f} recall {value['recall']:.3f}", file=sys.stderr)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
