#!/usr/bin/env python3
"""Cleaning rules at the size of CASIA-WebFace: `diffprob prune` on a score file, and cleanlab's batched form on the matrix N x K that this file
stands for, of which it is given 1,000 rows at a time. Time, peak memory, and whether the index sets are equal; a line of JSON each.

    pip install --target PEER cleanlab==2.9.0 h5py; PYTHONPATH=PEER tests/bench/cleaning_size.py OUT [--samples 490623] [--classes 10572] [--skip-peer]

A sample's probabilities: much for its true class, some for a second one and for its label (15 % of the labels are wrong), and the rest spread evenly.
DIFFPROB=build/release/diffprob, RANKS=2.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import h5py
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.environ.get("DIFFPROB", str(HERE.parent.parent / "build/release/diffprob"))
RANKS = os.environ.get("RANKS", "2")
RULES = ("predicted_neq_given", "confident_learning", "low_self_confidence", "low_normalized_margin", "prune_by_class",
         "prune_by_noise_rate_top1", "both_top1")
BATCHED = {"low_self_confidence": "self_confidence", "low_normalized_margin": "normalized_margin"}
ROWS = 1000


class Samples:
    """Labels, and the few log-probabilities of each row that are not the common one."""

    def __init__(self, samples, classes, seed=5):
        rng = np.random.default_rng(seed)
        self.classes = classes
        self.true = rng.integers(0, classes, samples)
        self.second = (self.true + rng.integers(1, classes, samples)) % classes
        wrong = rng.random(samples) < 0.15
        self.label = np.where(wrong, (self.true + rng.integers(1, classes, samples)) % classes, self.true)
        logits = {"true": rng.normal(12, 3, samples), "second": rng.normal(7, 2, samples), "label": rng.normal(6, 2, samples)}
        # Where two of the three are one class, the first of them counts.
        logits["second"][self.second == self.label] = -np.inf
        logits["label"][self.label == self.true] = -np.inf
        total = np.log(sum(np.exp(x) for x in logits.values()) + classes - 3)
        self.log_p = {name: (x - total).astype(np.float32) for name, x in logits.items()}
        self.common = (-total).astype(np.float32)

    def rows(self, first, last):
        """[n, K] float64 probabilities of the float32 logarithms."""
        at = np.arange(last - first)
        p = np.empty((last - first, self.classes))
        p[:] = np.exp(self.common[first:last].astype(np.float64))[:, None]
        for name, where in (("true", self.true), ("second", self.second), ("label", self.label)):
            log_p = self.log_p[name][first:last]
            there = np.isfinite(log_p)
            p[at[there], where[first:last][there]] = np.minimum(np.exp(log_p[there].astype(np.float64)), 1)
        return p

    def write(self, path):
        own = np.where(self.label == self.true, self.log_p["true"], self.log_p["label"])
        parts = np.stack([self.log_p["true"], np.where(np.isfinite(self.log_p["second"]), self.log_p["second"], self.common),
                          np.where(np.isfinite(self.log_p["label"]), self.log_p["label"], self.common)])
        places = np.stack([self.true, self.second, self.label])
        order = np.argsort(-parts, axis=0, kind="stable")
        columns = {"label": self.label.astype(np.int32), "top1": np.take_along_axis(places, order, 0)[0].astype(np.int32),
                   "nll": -own, "probability": np.exp(own), "top1_log_prob": np.take_along_axis(parts, order, 0)[0],
                   "second_log_prob": np.take_along_axis(parts, order, 0)[1]}
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            def text(name, value):
                file.attrs.create(name, np.bytes_(value or "\0"), dtype=f"S{max(len(value), 1)}")
            text("format", "diffprob-scores")
            file.attrs["format_version"] = np.int64(1)
            file.attrs["num_samples"], file.attrs["num_classes"] = np.int64(len(self.label)), np.int64(self.classes)
            text("dataset_fingerprint", "")
            text("model_fingerprint", "")
            file.attrs["margin"], file.attrs["scale"] = 0.0, 64.0
            text("columns", "top1 top1_log_prob second_log_prob")
            file.create_dataset("config", data=np.zeros(0, np.uint8))
            for name, values in columns.items():
                file.create_dataset(name, data=values, chunks=(min(len(values), 262144),), fletcher32=True)


def ours(rule, scores, out):
    command = ["mpirun", "-np", RANKS, "--bind-to", "none", "--oversubscribe", "/usr/bin/env", "time", "-f", "peak %M KiB", PROGRAM, "prune",
               f"--prune.scores={scores}", "--prune.method=none", f"--prune.clean_rule={rule}", f"--output={out}"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    peaks = [int(x) for x in re.findall(r"peak (\d+) KiB", done.stderr)]
    summary = json.loads((out / "summary.json").read_text())
    kept = np.array(re.findall(r"\d+", (out / "kept_index.txt").read_text()), dtype=np.int64)
    return kept, {"seconds": round(seconds, 2), "peak_mib_per_rank": round(max(peaks) / 1024) if peaks else None,
                  "open_evidence": summary.get("open_evidence")}


def peer(rule, samples):
    """As find_label_issues_batched() does it, but with rows that are made when they are needed."""
    from cleanlab.experimental.label_issues_batched import LabelInspector
    from cleanlab.filter import _reduce_issues
    n = len(samples.label)
    start = time.perf_counter()
    inspector = LabelInspector(num_class=samples.classes, verbose=False, n_jobs=1, quality_score_kwargs={"method": BATCHED[rule]})
    for step in (inspector.update_confident_thresholds, inspector.score_label_quality):
        for first in range(0, n, ROWS):
            last = min(first + ROWS, n)
            step(samples.label[first:last], samples.rows(first, last))
    marked = np.zeros(n, dtype=bool)
    marked[inspector.get_label_issues()] = True
    for first in range(0, n, ROWS):
        last = min(first + ROWS, n)
        marked[first:last] &= ~_reduce_issues(pred_probs=samples.rows(first, last), labels=samples.label[first:last])
    return np.flatnonzero(marked), round(time.perf_counter() - start, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--samples", type=int, default=490623)
    parser.add_argument("--classes", type=int, default=10572)
    parser.add_argument("--skip-peer", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    samples = Samples(args.samples, args.classes)
    scores = args.out / "scores.h5"
    samples.write(scores)
    for rule in RULES:
        kept, line = ours(rule, scores, args.out / rule)
        dropped = np.setdiff1d(np.arange(args.samples), kept)
        line = {"rule": rule, "samples": args.samples, "classes": args.classes, "dropped": len(dropped), **line}
        if rule in BATCHED and not args.skip_peer:
            issues, line["cleanlab_seconds"] = peer(rule, samples)
            line["cleanlab_dropped"], line["equal"] = len(issues), bool(np.array_equal(issues, dropped))
            line["differ"] = len(np.setxor1d(issues, dropped))
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
