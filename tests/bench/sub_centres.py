#!/usr/bin/env python3
"""Would several centres per identity find wrong labels better than its mean? Labels are flipped in the embeddings of a data set, and each sample is
compared with centres made without itself: the mean; the mean of the largest of 3 clusters (k-means of each identity); the nearest of the 3; the
densest direction (means weighted by exp(8 cos), three rounds); and the mean of the nearer half (three rounds).

    diffprob embed --data.train=FOLDER --model.checkpoint=NETWORK --embed.format=npy --output=OUT
    tests/bench/sub_centres.py FOLDER OUT/embeddings.npy [--shares 0.1,0.2,0.4,0.6,0.8] [--seeds 3]

FOLDER has train.rec. Prints, per kind and share of flips, the area under the precision-recall curve of the margin, and precision / recall of the rule
'another identity is nearer'. Needs numpy.
"""
import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from flip_labels import read_faces  # noqa: E402

CLUSTERS = 3


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


class Problem:
    def __init__(self, embeddings, labels):
        self.e, self.y, self.classes = embeddings, labels, labels.max() + 1

    def sums(self, weights):
        sums = np.zeros((self.classes, self.e.shape[1]))
        np.add.at(sums, self.y, self.e * weights[:, None])
        return sums

    def without_itself(self, sums, weights):
        return (self.e * unit(sums[self.y] - self.e * weights[:, None])).sum(1)

    def weighted(self, weigh, rounds):
        """Cosines to the own centre and to all, weights being a function of the own cosines of the round before."""
        weights = np.ones(len(self.y))
        sums = self.sums(weights)
        for _ in range(rounds):
            weights = weigh(self.without_itself(sums, weights))
            sums = self.sums(weights)
        return self.without_itself(sums, weights), self.e @ unit(sums).T

    def nearer_half(self, own):
        weights = np.zeros(len(own))
        for c in range(self.classes):
            rows = np.flatnonzero(self.y == c)
            weights[rows[np.argsort(-own[rows], kind="stable")[: (len(rows) + 1) // 2]]] = 1
        return weights

    def clusters(self, rounds=8):
        cluster = np.random.default_rng(1).integers(0, CLUSTERS, len(self.y))
        for last in range(rounds + 1):
            sums = np.zeros((self.classes, CLUSTERS, self.e.shape[1]))
            np.add.at(sums, (self.y, cluster), self.e)
            if last == rounds:
                return cluster, sums
            cluster = np.einsum("nd,nkd->nk", self.e, unit(sums[self.y])).argmax(1)

    def largest_cluster(self):
        cluster, sums = self.clusters()
        sizes = np.zeros((self.classes, CLUSTERS))
        np.add.at(sizes, (self.y, cluster), 1)
        largest = sizes.argmax(1)
        centres = sums[np.arange(self.classes), largest]
        own = unit(centres[self.y] - np.where((cluster == largest[self.y])[:, None], self.e, 0))
        return (self.e * own).sum(1), self.e @ unit(centres).T

    def nearest_cluster(self):
        cluster, sums = self.clusters()
        own = sums[self.y]
        own[np.arange(len(self.y)), cluster] -= self.e
        empty = np.linalg.norm(own, axis=-1) < 1e-6
        cosines = np.where(empty, -1, np.einsum("nd,nkd->nk", self.e, unit(own)))
        return cosines.max(1), np.max([self.e @ unit(sums[:, k]).T for k in range(CLUSTERS)], axis=0)


def ways(problem):
    return {"mean": problem.weighted(None, 0), "largest of 3": problem.largest_cluster(), "nearest of 3": problem.nearest_cluster(),
            "densest": problem.weighted(lambda own: np.exp(8 * (own - 1)), 3), "nearer half": problem.weighted(problem.nearer_half, 3)}


def judge(own, cosines, labels, wrong):
    others = cosines.copy()
    others[np.arange(len(labels)), labels] = -9
    margin = others.max(1) - own
    hit = wrong[np.argsort(-margin, kind="stable")]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    found = margin > 0
    return (precision * hit).sum() / hit.sum(), (found & wrong).sum() / max(found.sum(), 1), (found & wrong).sum() / wrong.sum()


def flipped(embeddings, labels, kind, share, seed):
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(labels))[: int(share * len(labels))]
    new = labels.copy()
    if kind == "uniform":
        new[drawn] = labels[rng.permutation(drawn)]
    else:
        problem = Problem(embeddings, labels)
        centres = unit(problem.sums(np.ones(len(labels))))
        near = centres @ centres.T
        np.fill_diagonal(near, -9)
        new[drawn] = near.argmax(1)[labels[drawn]]
    return new, new != labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("embeddings")
    parser.add_argument("--shares", default="0.1,0.2,0.4,0.6,0.8")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    embeddings = unit(np.load(args.embeddings).astype(np.float64))
    labels = np.array([label for label, _ in read_faces(args.folder)])
    for kind in ("uniform", "most similar"):
        for share in map(float, args.shares.split(",")):
            found = {}
            for seed in range(args.seeds):
                new, wrong = flipped(embeddings, labels, kind, share, seed)
                for name, cosines in ways(Problem(embeddings, new)).items():
                    found.setdefault(name, []).append(judge(*cosines, new, wrong))
            means = {name: np.mean(values, axis=0) for name, values in found.items()}
            print(kind, share, "; ".join(f"{name} {m[0]:.3f} ({m[1]:.2f} / {m[2]:.2f})" for name, m in means.items()), flush=True)


if __name__ == "__main__":
    main()
