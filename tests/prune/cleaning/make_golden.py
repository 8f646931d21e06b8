#!/usr/bin/env python3
"""Index sets of cleanlab 2.9.0 (PyPI) on simulated score records: tests/prune/cleaning/golden/cleanlab.h5.

pip install --target FOLDER cleanlab==2.9.0 h5py; PYTHONPATH=FOLDER python3 make_golden.py golden/cleanlab.h5

A group per case: what the score record holds (label, top1, float32 logarithms of the largest, the second and the own
probability), and the index sets that cleanlab finds in the N x K matrix of the same probabilities. cleanlab sorts with
an unstable sort, whose order of equal values depends on the processor; here numpy sorts stably. `as_shipped`: whether
the set is the same with its own sort. The rules that end in _top1 are ours, written down once more in this file.
"""
import sys
import warnings

import h5py
import numpy as np
from cleanlab import __version__
from cleanlab.experimental import label_issues_batched
from cleanlab.count import compute_confident_joint
from cleanlab.experimental.label_issues_batched import find_label_issues_batched
from cleanlab.filter import find_label_issues

PLAIN = ("predicted_neq_given", "confident_learning", "prune_by_class", "prune_by_noise_rate", "both")
BATCHED = {"low_self_confidence": "self_confidence", "low_normalized_margin": "normalized_margin"}
argsort, find_top_issues = np.argsort, label_issues_batched.find_top_issues


def stable(values, **_):
    return argsort(values, kind="stable")


def stable_top(quality_scores, *, top):
    return argsort(quality_scores, kind="stable")[:top]


def record(labels, p32):
    """Columns of the score record of float32 log-probabilities [N, K]."""
    rows = np.arange(len(labels))
    order = np.argsort(-p32, axis=1, kind="stable")
    return {"label": labels, "top1": order[:, 0], "top1_log_prob": p32[rows, order[:, 0]],
            "second_log_prob": p32[rows, order[:, 1]], "own_log_prob": p32[rows, labels]}


def sets_of(labels, p):
    found = {rule: np.flatnonzero(find_label_issues(labels, p, filter_by=rule, n_jobs=1)) for rule in PLAIN}
    for rule, score in BATCHED.items():
        found[rule] = np.sort(find_label_issues_batched(
            labels=labels, pred_probs=p, batch_size=1000, n_jobs=1, verbose=False,
            quality_score_kwargs={"method": score}))
    return found


def top1_sets(labels, p, by_class):
    """For each pair (label, other class): as many of the largest margins as the joint counts, among samples whose
    most probable class is that other class."""
    joint, top1 = compute_confident_joint(labels, p), p.argmax(axis=1)
    marked = np.zeros(len(labels), dtype=bool)
    for k in np.flatnonzero(np.bincount(labels, minlength=p.shape[1]) > 1):
        counts = joint[k].astype(float)
        gained = max(counts[k], 1) - counts[k]
        lost = gained / max(np.count_nonzero(counts) - 1, 1)
        for j in np.flatnonzero(joint[k]):
            rows = np.flatnonzero((labels == k) & (top1 == j))
            count = int(max(counts[j] - lost, 0))
            if j != k:
                marked[rows[argsort(p[rows, k] - p[rows, j], kind="stable")[:count]]] = True
    own = p.copy()
    own[np.arange(len(labels)), labels] += 1e-6
    found = np.flatnonzero(marked & (own.argmax(axis=1) != labels))
    return {"prune_by_noise_rate_top1": found, "both_top1": np.intersect1d(found, by_class)}


def simulated(rng, classes, samples, noise, sharp, rate):
    """Labels and float32 log-probabilities. noise: uniform, pairs (class c to c + 1), or of few classes alone."""
    used = classes if noise != "empty" else classes - 2
    true = rng.integers(0, used, samples)
    if noise == "singles":
        true[: used // 2] = np.arange(used // 2)
        true[used // 2:] = rng.integers(used // 2, used, samples - used // 2)
    other = (true + rng.integers(1, used, samples)) % used if noise != "pairs" else (true + 1) % used
    flip = rng.random(samples) < (rate * (true % 3) if noise == "few" else rate)
    labels = np.where(flip, other, true)
    logits = rng.normal(size=(samples, classes))
    logits[np.arange(samples), true] += sharp + rng.normal(size=samples) * sharp / 4
    if noise == "coarse":
        logits = np.round(logits)
    logits -= logits.max(axis=1, keepdims=True)
    return labels, (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def cases():
    for classes, samples in ((2, 200), (5, 200), (50, 800), (200, 1200)):
        for noise in ("uniform", "pairs", "few", "empty", "singles", "coarse"):
            if classes == 2 and noise in ("empty", "singles"):
                continue
            for sharp in (3, 12) if classes < 50 or noise in ("uniform", "pairs") else (12,):
                yield f"{noise}_{classes}_{sharp}", classes, samples, noise, sharp


def main():
    warnings.filterwarnings("ignore")
    rng = np.random.default_rng(23)
    with h5py.File(sys.argv[1], "w", libver="latest") as file:
        file.attrs["cleanlab"], file.attrs["numpy"] = __version__, np.__version__
        for name, classes, samples, noise, sharp in cases():
            labels, p32 = simulated(rng, classes, samples, noise, sharp, 0.15)
            p = np.minimum(np.exp(p32.astype(np.float64)), 1)
            shipped = sets_of(labels, p)
            np.argsort, label_issues_batched.find_top_issues = stable, stable_top
            found = sets_of(labels, p)
            np.argsort, label_issues_batched.find_top_issues = argsort, find_top_issues
            found |= top1_sets(labels, p, found["prune_by_class"])
            group = file.create_group(name)
            group.attrs["classes"] = classes
            for column, values in record(labels, p32).items():
                kind = np.float32 if values.dtype == np.float32 else np.int16
                group.create_dataset(column, data=values.astype(kind))
            for rule, indices in found.items():
                data = group.create_dataset("set_" + rule, data=indices.astype(np.int16))
                data.attrs["as_shipped"] = int(rule not in shipped or np.array_equal(shipped[rule], indices))


if __name__ == "__main__":
    main()
