#!/usr/bin/env python3
"""What a training step costs on 1 to 1024 GPUs, on paper, from figures of one GPU and of a network. SCALING.md says what the terms are.

    scaling.py [--batch 256] [--classes 93431] [--forward 12.5] [--backward 22.0] [--own-head 0.9] [--optimizer 1.2] ...

All times in ms. --help lists the figures and their defaults.
"""
import argparse
import math


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number = lambda name, default, text: parser.add_argument(name, type=float, default=default, help=f"{text} (default {default:g})")
    number("--batch", 256, "images a GPU")
    number("--classes", 93431, "classes in all")
    number("--dim", 512, "embedding size")
    number("--parameters", 43.6e6, "of the network")
    number("--gradient-bytes", 4, "a number of the gradients that travel: train.grad_dtype")
    number("--bucket-mib", 25, "dist.bucket_mib")
    number("--forward", 12.0, "forward pass of the network")
    number("--backward", 21.3, "backward pass of the network")
    number("--optimizer", 0.9, "update of the network, decision and clipping")
    number("--tflops", 300, "matrix products of the head, TFLOP/s (TF32)")
    number("--memory", 2.6, "memory of a GPU, TB/s")
    number("--node", 8, "GPUs a node")
    number("--intra", 350, "a GPU's bandwidth in collectives inside a node, GB/s")
    number("--inter", 40, "a GPU's bandwidth in collectives between nodes, GB/s")
    number("--intra-latency", 0.02, "of a collective inside a node, ms")
    number("--inter-latency", 0.03, "of one level of a collective between nodes, ms")
    number("--decode", 7700, "images a second that one core decodes and augments")
    return parser.parse_args()


def network(a, world):
    """GB/s and ms of latency of a collective over `world` GPUs."""
    if world <= a.node:
        return a.intra, a.intra_latency * (world > 1)
    return a.inter, a.intra_latency + a.inter_latency * math.ceil(math.log2(world / a.node))


def transfer(a, world, size, passes=1):
    """ms for `size` bytes that a GPU sends and receives; passes = 2: an all-reduce."""
    bandwidth, latency = network(a, world)
    return latency + passes * (world - 1) / world * size / bandwidth / 1e6 if world > 1 else 0.0


def head(a, world):
    """Embeddings of all, logits of own classes, embedding gradients to their owners, update of own centres."""
    rows, own = a.batch * world, a.classes / world
    products = 3 * 2 * rows * own * a.dim / a.tflops / 1e9
    logits = 7 * rows * own * 4 / a.memory / 1e9     # three passes forward, the factor, three readings by the products
    centres = 12 * own * a.dim * 4 / a.memory / 1e9  # norms, three products, gradient, update of weights and momenta
    whole = 10 * rows * a.dim * 4 / a.memory / 1e9   # gathered embeddings and their gradients, a few passes
    gather = transfer(a, world, rows * (a.dim + 4) * 4)
    scatter = transfer(a, world, rows * a.dim * 4)
    softmax = sum(transfer(a, world, rows * size, passes=2) for size in (8, 16, 8))  # all-reduces: cosine, maxima and a flag, sum
    return products + logits + centres + whole, gather + scatter + softmax


def all_reduce_left(a, world):
    """What backward does not hide of the gradients' all-reduce: buckets leave as they fill, the last one when backward ends."""
    total = transfer(a, world, a.parameters * a.gradient_bytes, passes=2)
    last = transfer(a, world, min(a.bucket_mib * 2**20, a.parameters * a.gradient_bytes), passes=2)
    return total, max(last, total - 0.9 * a.backward) if world > 1 else 0.0


def main():
    a = arguments()
    print("  GPUs  network   head  head's    all-reduce   step  images/s  of linear  decode")
    print("             ms     ms  traffic  all    left     ms                        cores a GPU")
    one = None
    for world in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        work, traffic = head(a, world)
        total, left = all_reduce_left(a, world)
        own = a.forward + a.backward + a.optimizer
        step = own + work + traffic + left
        speed = a.batch * world / step * 1000
        one = one or speed
        cores = speed / world / a.decode
        print(f"{world:6d} {own:8.1f} {work:6.2f} {traffic:7.2f} {total:6.2f} {left:6.2f} {step:7.1f} {speed:9.0f} {speed / one / world:9.0%} {cores:8.1f}")


if __name__ == "__main__":
    main()
