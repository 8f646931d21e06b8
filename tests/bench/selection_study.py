#!/usr/bin/env python3
"""Which samples should be kept? Selections of many kinds on real faces, each retrained from the start and judged by pairs of other people.

    DIFFPROB_TEST_DATA=FOLDER tests/bench/selection_study.py OUT [--sets lfw] [--seeds 1,2,3] [--ratios 0.75,0.5,0.25,0.1] [--variants NAME,...]

For each seed: a network is trained on all data, scored and embedded; each variant chooses from these what to keep; a network is trained on that
with the same seed and as many epochs. OUT/results.jsonl has a line per training; goes on where
it was cut off. Networks of lfw are also judged on all pairs of the people of lfw_long who are not in lfw. `--table` prints mean differences to
`random` and to `diffprob` with 95 % intervals (t over seeds). Needs numpy. DIFFPROB=build/release/diffprob.

Variants are BUDGET_ORDER: how many samples each identity keeps, and which. VARIANTS names them; `all` trains on everything, and `infobatch` and
`identity` do so with that train.prune (--while-training; `images` says how many were trained of all epochs together).
"""
import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from evidence import labels_of, names

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAM = os.environ.get("DIFFPROB", str(ROOT / "build/release/diffprob"))


def program(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def train(folder, data, seed, *keys):
    if not (folder / "verification.json").exists():
        pairs = data.parent / "lfw" / "lfw_dev.bin"
        program("train", ROOT / "launch/configs/lfw.yaml", f"--data.train={data}", f"--eval.sets={pairs}", f"--output={folder}", f"--seed={seed}",
                "--train.eval_every_epochs=0", "--train.tensorboard=false", *keys)
    report = json.loads((folder / "verification.json").read_text())["trained"][0]
    return report["accuracy"], report["auc"]


def images_of(folder):
    """Images trained, in whole batches."""
    return 64 * max(int(path.name.removeprefix("step_")) for path in (folder / "checkpoints").glob("step_*"))


class OtherPeople:
    """The people of lfw_long who are not in lfw: 3,386 pairs of one person and 1.9 million of two, for networks trained on lfw."""

    def __init__(self, data):
        known = set(names(data, "lfw"))
        people = names(data, "lfw_long")
        labels = labels_of(data / "lfw_long")
        self.data = data / "lfw_long"
        self.kept = [i for i, label in enumerate(labels) if people[label] not in known]
        own = np.array([labels[i] for i in self.kept])
        self.first, self.second = np.triu_indices(len(own), 1)
        self.same = own[self.first] == own[self.second]

    def measure(self, folder):
        """AUC, and the true acceptance rates at false acceptance rates of 1 % and 0.1 %."""
        rows = folder / "others"
        if not (rows / "embeddings.npy").exists():
            rows.mkdir(exist_ok=True)
            (rows / "kept.txt").write_text(f"kept_index = {self.kept}\n")
            network = sorted((folder / "checkpoints").glob("step_*"))[-1]
            program("embed", f"--output={rows}", f"--data.train={self.data}", f"--data.kept={rows / 'kept.txt'}", f"--model.checkpoint={network}",
                    "--embed.format=npy")
        unit = np.load(rows / "embeddings.npy").astype(np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        cosines = (unit @ unit.T)[self.first, self.second]
        genuine, impostors = np.sort(cosines[self.same]), np.sort(cosines[~self.same])
        accepted = {f"tar_{name}": float((genuine > impostors[int(len(impostors) * (1 - rate))]).mean()) for name, rate in (("1e-2", 1e-2), ("1e-3", 1e-3))}
        return {"others_auc": float(np.searchsorted(impostors, genuine).mean() / len(impostors)), **accepted}


class Evidence:
    """What one trained network says of each sample."""

    def __init__(self, folder, data):
        network = sorted((folder / "checkpoints").glob("step_*"))[-1]
        scores, rows = folder / "score", folder / "embed"
        if not (scores / "scores.csv").exists():
            program("score", f"--output={scores}", f"--data.train={data}", f"--model.checkpoint={network}", "--data.decode_threads=1")
            program("convert", scores / "scores.h5", scores / "scores.csv", "--to=csv")
        if not (rows / "embeddings.npy").exists():
            program("embed", f"--output={rows}", f"--data.train={data}", f"--model.checkpoint={network}", "--embed.format=npy")
        self.score_file = scores / "scores.h5"
        with open(scores / "scores.csv", newline="") as file:
            table = list(csv.DictReader(file))
        self.labels = np.array([int(r["label"]) for r in table])
        self.nll = np.array([float(r["nll"]) for r in table])
        self.cosine = np.array([float(r["cosine"]) for r in table])
        self.norm = np.array([float(r["norm"]) for r in table])
        self.mispredicted = np.array([r["top1"] != r["label"] for r in table])
        unit = np.load(rows / "embeddings.npy").astype(np.float64)
        self.unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        self.members = [np.flatnonzero(self.labels == c) for c in range(self.labels.max() + 1)]


# --- which samples of an identity come first: a permutation of its samples, and what each adds

def random_order(e, m, rng):
    return rng.permutation(len(m)), None


def facility_order(e, m, rng, weights=None, floor=0.0):
    """Greedy facility location: each sample is represented by the kept one most similar to it."""
    likeness = np.maximum(e.unit[m] @ e.unit[m].T, floor)
    weights = np.ones(len(m)) if weights is None else weights
    covered, order, gains, left = np.full(len(m), floor), [], [], list(range(len(m)))
    while left:
        gain = (weights[:, None] * np.maximum(likeness[:, left] - covered[:, None], 0)).sum(0)
        best = int(np.argmax(gain))
        order.append(left.pop(best))
        gains.append(gain[best])
        covered = np.maximum(covered, likeness[:, order[-1]])
    return np.array(order), np.array(gains)


def herding_order(e, m, rng):
    """The running mean stays as near to the identity's mean as it can."""
    x = e.unit[m]
    mean, total, order, left = x.mean(0), np.zeros(x.shape[1]), [], list(range(len(m)))
    while left:
        distance = np.linalg.norm(mean - (total + x[left]) / (len(order) + 1), axis=1)
        best = int(np.argmin(distance))
        order.append(left.pop(best))
        total = total + x[order[-1]]
    return np.array(order), None


def farthest_order(e, m, rng):
    """k-centre: from the medoid on, always the sample least like the kept ones."""
    likeness = e.unit[m] @ e.unit[m].T
    order = [int(np.argmax(likeness.sum(1)))]
    nearest = likeness[order[0]].copy()
    while len(order) < len(m):
        nearest[order] = np.inf
        order.append(int(np.argmin(nearest)))
        nearest = np.minimum(nearest, likeness[order[-1]])
    return np.array(order), None


def easy_order(e, m, rng):
    return np.argsort(e.nll[m], kind="stable"), None


def hard_order(e, m, rng):
    return np.argsort(-e.nll[m], kind="stable"), None


def trimmed_order(share):
    """Drawn from the easiest `share` of the samples; then the others, easy ones first."""
    def order(e, m, rng):
        by_ease = np.argsort(e.nll[m], kind="stable")
        easy = int(np.ceil(share * len(m)))
        return np.concatenate([rng.permutation(by_ease[:easy]), by_ease[easy:]]), None
    return order


def spread_order(e, m, rng):
    """Ranks of the probability, halved again and again: the middle, the quarters, the eighths, ... of the samples from easy to hard."""
    by_ease = np.argsort(e.nll[m], kind="stable")
    place, step = [], 1.0
    while len(place) < len(m):
        step /= 2
        for k in range(1, round(1 / step), 2):
            i = min(len(m) - 1, int(k * step * len(m)))
            if i not in place:
                place.append(i)
        if step * len(m) < 0.25:
            place += [i for i in range(len(m)) if i not in place]
    return by_ease[place[:len(m)]], None


def dispersed(values, number):
    """Places of `number` values whose smallest distance is as large as can be (greedy from the largest value: optimal on a line)."""
    falling = np.argsort(-values, kind="stable")

    def walk(gap):
        kept = [falling[0]]
        for i in falling[1:]:
            if values[kept[-1]] - values[i] > gap:
                kept.append(i)
        return kept

    low, high = -1.0, float(values.max() - values.min()) + 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if len(walk(middle)) >= number else (low, middle)
    return np.array(walk(low)[:number])


def by_dispersion(power, of):
    """Budgets by size as in by_budget; inside an identity, values of the own label that lie as far apart as can be."""
    def choose(e, total, rng):
        budgets = levelled([len(m) for m in e.members], total, power)
        return [i for m, k in zip(e.members, budgets) if k for i in m[dispersed(of(e.nll[m]), k)]]
    return choose


def probability(nll):
    return np.expm1(-nll)


def log_odds(nll):
    return -nll - np.log(-np.expm1(-np.maximum(nll, 1e-12)))


def right_then(order):
    """Samples that the network takes for another identity come last."""
    def choose(e, m, rng):
        right = np.flatnonzero(~e.mispredicted[m])
        wrong = np.flatnonzero(e.mispredicted[m])
        first, _ = order(e, m[right], rng) if len(right) else (np.array([], int), None)
        return np.concatenate([right[first], wrong[np.argsort(e.nll[m][wrong])]]), None
    return choose


# --- how many each identity keeps

def levelled(sizes, total, power, least=1):
    """Budgets min(n, c n^power) that add up to the total (water level): power 1 keeps shares, 0 fills identities evenly."""
    sizes = np.asarray(sizes)
    low, high = 0.0, float(sizes.max()) + 1
    for _ in range(100):
        c = (low + high) / 2
        if np.minimum(sizes, np.maximum(np.minimum(least, sizes), c * sizes ** power)).sum() < total:
            low = c
        else:
            high = c
    exact = np.minimum(sizes, np.maximum(np.minimum(least, sizes), high * sizes ** power))
    whole = np.floor(exact + 1e-9).astype(int)
    by_rest = np.argsort(-(exact - whole), kind="stable")
    for c in by_rest[: max(0, total - whole.sum())]:
        whole[c] += 1
    return whole


def by_budget(order, power, least=1):
    def choose(e, total, rng):
        budgets = levelled([len(m) for m in e.members], total, power, least)
        return [i for m, k in zip(e.members, budgets) for i in m[order(e, m, rng)[0][:k]]]
    return choose


def by_gain(order, power, least=1):
    """One threshold on what a sample adds, divided by n^power."""
    def choose(e, total, rng):
        entries, kept = [], []
        for m in e.members:
            places, gains = order(e, m, rng)
            kept += list(m[places[:least]])
            entries += [(-g / len(m) ** power, i) for g, i in zip(gains[least:], m[places[least:]])]
        entries.sort()
        return kept + [i for _, i in entries[: max(0, total - len(kept))]]
    return choose


def few_identities(order, each):
    """The identities with the most samples, `each` samples of each (all get the same more when there are too few of them)."""
    def choose(e, total, rng):
        largest = sorted(e.members, key=lambda m: (-len(m), m[0]))
        number = 1
        while number < len(largest) and sum(min(len(m), each) for m in largest[:number + 1]) <= total:
            number += 1
        budgets = levelled([len(m) for m in largest[:number]], total, 0.0)
        return [i for m, k in zip(largest, budgets) for i in m[order(e, m, rng)[0][:k]]]
    return choose


def pruned(method, floor=0.0):
    """What `diffprob prune` keeps, of each identity at least `floor` images; below 1: that share of what even budgets give the largest identity."""
    def choose(e, total, rng):
        ratio = total / len(e.labels)
        least = int(floor) if floor >= 1 else max(1, int(floor * levelled([len(m) for m in e.members], total, 0.0).max()))
        folder = e.score_file.parent / f"prune_{method}{least if floor else ''}_{ratio:.4f}"
        if not (folder / "kept_index.txt").exists():
            program("prune", f"--output={folder}", f"--prune.scores={e.score_file}", f"--prune.method={method}", f"--prune.keep_ratio={ratio}",
                    "--prune.clean=false", f"--prune.min_kept={least}", "--prune.min_kept_share=0", f"--seed={rng.integers(1 << 30)}")
        text = (folder / "kept_index.txt").read_text()
        return json.loads(text[text.index("["):])
    return choose


VARIANTS = {
    "random": by_budget(random_order, 1.0), "random5": by_budget(random_order, 1.0, 5), "diffprob": pruned("diffprob"),
    "sqrt_random": by_budget(random_order, 0.5), "flat_random": by_budget(random_order, 0.0),
    "share_facility": by_budget(facility_order, 1.0), "sqrt_facility": by_budget(facility_order, 0.5),
    "flat_facility": by_budget(facility_order, 0.0),
    "gain0_facility": by_gain(facility_order, 0.0), "gain5_facility": by_gain(facility_order, 0.5), "gain10_facility": by_gain(facility_order, 1.0),
    "flat_herding": by_budget(herding_order, 0.0), "flat_farthest": by_budget(farthest_order, 0.0),
    "flat_spread": by_budget(spread_order, 0.0), "flat_right_spread": by_budget(right_then(spread_order), 0.0),
    "cube_random": by_budget(random_order, 1 / 3), "flat_easy": by_budget(easy_order, 0.0), "flat_hard": by_budget(hard_order, 0.0),
    "flat_right_random": by_budget(right_then(random_order), 0.0), "flat_right_facility": by_budget(right_then(facility_order), 0.0),
    "flat_right_hard": by_budget(right_then(hard_order), 0.0), "flat_right_farthest": by_budget(right_then(farthest_order), 0.0),
    "ids4_random": few_identities(random_order, 4), "ids8_random": few_identities(random_order, 8),
    "ids12_random": few_identities(random_order, 12), "ids16_random": few_identities(random_order, 16),
    "ids32_random": few_identities(random_order, 32), "ids64_random": few_identities(random_order, 64),
    "ids8_trim": few_identities(trimmed_order(2 / 3), 8), "ids16_trim": few_identities(trimmed_order(2 / 3), 16),
    "sqrt_hard": by_budget(hard_order, 0.5), "sqrt_farthest": by_budget(farthest_order, 0.5), "share_hard": by_budget(hard_order, 1.0),
    "flat_dispersed": by_dispersion(0.0, probability), "flat_dispersed_odds": by_dispersion(0.0, log_odds),
    "sqrt_dispersed": by_dispersion(0.5, probability), "share_dispersed": by_dispersion(1.0, probability),
    "diffprob_floor": pruned("diffprob", 0.5), "diffprob_10": pruned("diffprob", 10), "balanced": pruned("balanced"), "balanced_easy": pruned("balanced_easy"),
    "deep": pruned("deep"),
    "flat_trim": by_budget(trimmed_order(2 / 3), 0.0), "flat_trim_half": by_budget(trimmed_order(0.5), 0.0),
}


def study(args, data, results):
    done = {(r["set"], r["seed"], r["variant"], r["ratio"]) for r in read(results)}
    others = OtherPeople(data) if "lfw" in args.sets else None
    for seed in args.seeds:
        for name in args.sets:
            folder = args.out / name / f"seed_{seed}"
            whole = folder / "all"
            accuracy, auc = train(whole, data / name, seed)
            evidence = Evidence(whole, data / name)
            number = len(evidence.labels)
            entries = [("all", 1.0)] + [(rule, 1.0) for rule in args.while_training] + [(v, r) for r in args.ratios for v in args.variants]
            for variant, ratio in entries:
                if (name, seed, variant, ratio) in done:
                    continue
                kept, target = list(range(number)), whole
                if variant in args.while_training:
                    target = folder / variant
                    accuracy, auc = train(target, data / name, seed, f"--train.prune={variant}")
                elif variant != "all":
                    rng = np.random.default_rng([seed, int(ratio * 1000)])
                    kept = sorted(int(i) for i in VARIANTS[variant](evidence, round(ratio * number), rng))
                    assert len(set(kept)) == len(kept)
                    target = folder / f"{variant}_{ratio}"
                    target.mkdir(parents=True, exist_ok=True)
                    (target / "kept.txt").write_text(f"kept_index = {kept}\n")
                    accuracy, auc = train(target / "train", data / name, seed, f"--data.kept={target / 'kept.txt'}")
                    target = target / "train"
                line = {"set": name, "seed": seed, "variant": variant, "ratio": ratio, "kept": len(kept), "accuracy": accuracy, "auc": auc, "images": images_of(target)}
                if name == "lfw":
                    line |= others.measure(target)
                with open(results, "a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, file=sys.stderr, flush=True)


def read(results):
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


MEASURES = ("accuracy", "auc", "others_auc", "tar_1e-2", "tar_1e-3")


def differences(rows, base, key):
    """Mean difference to `base` of the same seeds in percentage points, with its 95 % interval."""
    values = np.array([100 * (r[key] - base[r["seed"]][key]) for r in rows if r["seed"] in base and key in r and key in base[r["seed"]]])
    k = len(values)
    half = T95.get(k - 1, 2.1) * values.std(ddof=1) / k ** 0.5 if k > 1 else float("nan")
    return f"{values.mean():+6.2f} +- {half:5.2f}" if k else ""


def table(rows):
    for name in dict.fromkeys(r["set"] for r in rows):
        here = [r for r in rows if r["set"] == name]
        for ratio in sorted({r["ratio"] for r in here}, reverse=True):
            print(f"\n{name}, ratio {ratio}: mean, difference to random and to diffprob\n{'':20} n {'images':>7}" + "".join(f" {m:>36}" for m in MEASURES))
            bases = [{r["seed"]: r for r in here if (r["variant"], r["ratio"]) == (base, ratio)} for base in ("random", "diffprob")]
            for variant in dict.fromkeys(r["variant"] for r in here if r["ratio"] == ratio):
                mine = [r for r in here if (r["variant"], r["ratio"]) == (variant, ratio)]
                texts = []
                for key in MEASURES:
                    known = [100 * r[key] for r in mine if key in r]
                    texts.append(f" {np.mean(known):6.2f} {differences(mine, bases[0], key):>15} {differences(mine, bases[1], key):>15}" if known else "")
                print(f"{variant:20} {len(mine)} {np.mean([r['images'] for r in mine]):7.0f}" + "".join(texts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--sets", type=lambda s: s.split(","), default=["lfw"])
    parser.add_argument("--seeds", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2, 3])
    parser.add_argument("--ratios", type=lambda s: [float(x) for x in s.split(",")], default=[0.75, 0.5, 0.25, 0.1])
    parser.add_argument("--variants", type=lambda s: s.split(","), default=list(VARIANTS))
    parser.add_argument("--while-training", type=lambda s: s.split(","), default=[])
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results = args.out / "results.jsonl"
    if not args.table:
        study(args, pathlib.Path(os.environ["DIFFPROB_TEST_DATA"]).resolve() / "data", results)
    table(read(results))


if __name__ == "__main__":
    main()
