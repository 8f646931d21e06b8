#!/usr/bin/env python3
"""The field's verification metrics in numpy, as its scripts compute them: for each fold a loop over thresholds, each a pass over the pairs.

    peer_verification.py FOLDER [REPEATS]

Reads what verification_bench wrote into FOLDER. 10-fold accuracy (400 thresholds) and VAL at FAR 1e-3 (4000 thresholds); no AUC or EER, which
the scripts take from scikit-learn. Prints JSON: median seconds and results.
"""
import json
import sys
import time

import numpy as np

FOLDS = 10


def rates(threshold, distance, same):
    accepted = distance < threshold
    true_accepts = np.sum(np.logical_and(accepted, same))
    false_accepts = np.sum(np.logical_and(accepted, np.logical_not(same)))
    true_rejects = np.sum(np.logical_and(np.logical_not(accepted), np.logical_not(same)))
    false_rejects = np.sum(np.logical_and(np.logical_not(accepted), same))
    tpr = 0 if true_accepts + false_rejects == 0 else true_accepts / (true_accepts + false_rejects)
    fpr = 0 if false_accepts + true_rejects == 0 else false_accepts / (false_accepts + true_rejects)
    return tpr, fpr, (true_accepts + true_rejects) / distance.size


def val_and_far(threshold, distance, same):
    accepted = distance < threshold
    true_accepts = np.sum(np.logical_and(accepted, same))
    false_accepts = np.sum(np.logical_and(accepted, np.logical_not(same)))
    return true_accepts / np.sum(same), false_accepts / np.sum(np.logical_not(same))


def folds(pairs):
    sizes = np.full(FOLDS, pairs // FOLDS)
    sizes[: pairs % FOLDS] += 1
    ends = np.cumsum(sizes)
    indices = np.arange(pairs)
    for end, size in zip(ends, sizes):
        test = indices[end - size : end]
        yield np.setdiff1d(indices, test), test


def k_fold(distance, same):
    thresholds = np.arange(0, 4, 0.01)
    accuracy, curve = np.zeros(FOLDS), np.zeros((FOLDS, len(thresholds), 2))
    for fold, (train, test) in enumerate(folds(len(distance))):
        of_training = np.zeros(len(thresholds))
        for i, threshold in enumerate(thresholds):
            of_training[i] = rates(threshold, distance[train], same[train])[2]
        best = np.argmax(of_training)
        for i, threshold in enumerate(thresholds):
            curve[fold, i] = rates(threshold, distance[test], same[test])[:2]
        accuracy[fold] = rates(thresholds[best], distance[test], same[test])[2]
    return accuracy, curve.mean(0)


def val_at_far(distance, same, target):
    thresholds = np.arange(0, 4, 0.001)
    val, far = np.zeros(FOLDS), np.zeros(FOLDS)
    for fold, (train, test) in enumerate(folds(len(distance))):
        far_train = np.zeros(len(thresholds))
        for i, threshold in enumerate(thresholds):
            far_train[i] = val_and_far(threshold, distance[train], same[train])[1]
        threshold = 0.0
        if np.max(far_train) >= target:
            i = np.nonzero(far_train <= target)[0][-1]
            j = min(i + 1, len(thresholds) - 1)
            step = far_train[j] - far_train[i]
            threshold = thresholds[i] + ((target - far_train[i]) * (thresholds[j] - thresholds[i]) / step if step > 0 else 0)
        val[fold], far[fold] = val_and_far(threshold, distance[test], same[test])
    return val.mean(), far.mean()


def measure(embeddings, same):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    distance = np.sum(np.square(unit[0::2] - unit[1::2]), 1)
    accuracy, _ = k_fold(distance, same)
    val, far = val_at_far(distance, same, 1e-3)
    return {"accuracy": accuracy.mean(), "accuracy_std": accuracy.std(), "val": val, "far": far}


def main():
    folder, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    same = np.fromfile(folder + "/same.u8", np.uint8) != 0
    embeddings = np.fromfile(folder + "/embeddings.f32", np.float32).reshape(2 * len(same), -1).astype(np.float64)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = measure(embeddings, same)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"pairs": len(same), "numpy": np.__version__, "repeats": repeats, "seconds": float(np.median(seconds)), **result}, indent=1))


if __name__ == "__main__":
    main()
