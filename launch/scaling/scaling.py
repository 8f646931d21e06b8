#!/usr/bin/env python3
"""Computes the time of a training step on 1 to 1,024 GPUs from figures of one GPU and of a network.

No figure was measured here on more than one GPU. Each option names its source, and each figure can
be replaced by your own. launch/scaling/SCALING.md explains the columns. Times are in ms.

    scaling.py                                     both networks
    scaling.py --network one-card --one-card 20    nodes with a single 200 Gb/s card
    scaling.py --classes 1e6 --batch 128           another head, smaller batches
    scaling.py --ring 8.4,3.4,14 --tree 8.4,4,14   latencies of NCCL's protocol Simple, not LL128
"""
import argparse
import math

WORLDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
NETWORKS = {"one-card": "One network card per node", "card-a-gpu": "One network card per GPU"}


def speeds(text):
    """Parses "40" or "4:360,8:345": GB/s, for all or by number of nodes."""
    pairs = [part.rpartition(":") for part in text.split(",")]
    return {int(nodes or 1): float(speed) for nodes, _, speed in pairs}


def latencies(text):
    start, step, hop = (float(part) for part in text.split(","))
    return start, step, hop


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, usage="%(prog)s [--OPTION X ...]",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(name, default, text, kind=float):
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="X",
                            help=f"{text} (default {default})")

    parser.add_argument("--network", choices=(*NETWORKS, "both"), default="both",
                        help="the table to print (default both)")
    add("batch", "256", "b: images per GPU")
    add("classes", "93431", "C: classes")
    add("dim", "512", "D: numbers of an embedding")
    add("parameters", "43.6e6", "P: parameters of the network, iresnet50's")
    add("forward", "12.0", "forward pass of the network, ms; measured, iresnet50 on an H100")
    add("backward", "21.3", "backward pass of the network, ms; measured")
    add("optimizer", "0.9", "update of the network, ms; measured")
    add("tflops", "300", "speed of the head's matrix products in TF32, TFLOP/s; assumed")
    add("memory", "2.6", "memory bandwidth that the head's kernels reach, TB/s; assumed")
    add("embedding-passes", "35", "readings and writings of [B, D] float32 numbers in the head; counted: 9 for the products and the gradients, "
        "26 for the own classes; 9 with train.untried_kernels=own_classes, which works on the rows of its own classes alone")
    add("gradient-bytes", "4", "bytes per gradient that travel: 4, or 2 with train.grad_dtype=bf16")
    add("buckets", "6", "buckets of gradients; counted, iresnet50 with dist.bucket_mib=25")
    add("last-bucket", "0.066", "share of the last bucket; counted, 10.9 of 166 MiB")
    add("node", "8", "GPUs per node", int)
    add("intra", "350", "bus bandwidth inside a node, GB/s; assumed, near the 360 that "
        "nccl-tests issue 326 calls normal for H100")
    add("one-card", "40", "bus bandwidth between nodes with one 400 Gb/s card each, GB/s; "
        "assumed, 80 %% of the card", speeds)
    add("card-a-gpu", "4:360,8:345,16:320,32:300,64:280,128:260",
        "bus bandwidth between nodes with a card per GPU, GB/s by number of nodes; reduce-scatter "
        "on H100 nodes, measured by others, nccl issue 1229", speeds)
    add("gather", "200", "limit of an all-gather between nodes, GB/s; 2 GB on 32 H100 nodes, "
        "measured by others, nccl issue 1218")
    add("ring", "14,1.9,4", "latencies of a ring, us: start, step inside a node, step between "
        "nodes; NCCL's own model of LL128, src/graph/tuning.cc", latencies)
    add("tree", "14,1.25,8.5", "latencies of a tree, from the same table", latencies)
    add("decode", "7700", "images/s that a CPU core decodes and augments; measured")
    return parser.parse_args()


class Network:
    """Time of collectives over `world` GPUs; sizes are bytes of the whole tensor."""

    def __init__(self, a, between_nodes, world):
        self.a, self.world, self.nodes = a, world, math.ceil(world / a.node)
        listed = [n for n in between_nodes if n >= self.nodes] or [max(between_nodes)]
        self.speed = a.intra if self.nodes == 1 else min(a.intra, between_nodes[min(listed)])

    def ring(self, size, speed):
        """W - 1 steps, each waiting for the one before."""
        if self.world == 1:
            return 0.0
        start, step, hop = self.a.ring
        latency = start + (self.world - self.nodes) * step + (self.nodes - 1) * hop
        return latency / 1e3 + (self.world - 1) / self.world * size / speed / 1e6

    def all_gather(self, size):
        return self.ring(size, self.speed if self.nodes == 1 else min(self.speed, self.a.gather))

    def reduce_scatter(self, size):
        return self.ring(size, self.speed)

    def all_reduce(self, size):
        """Up and down a tree of nodes, in each of which the GPUs form a chain."""
        if self.world == 1:
            return 0.0
        start, step, hop = self.a.tree
        chain = math.ceil(self.world / self.nodes) - 1
        latency = start + 2 * (chain * step + math.log2(self.nodes) * hop)
        return latency / 1e3 + 2 * (self.world - 1) / self.world * size / self.speed / 1e6


def head_work(a, world):
    """Matrix products, and the float32 numbers that the passes of model/ read and write."""
    rows, own = a.batch * world, a.classes / world
    products = 3 * 2 * rows * own * a.dim
    logits = 8 * rows * own  # product, maxima, exponentials 2, product, factor 2, product
    centres = 9 * own * a.dim  # norms, 2 products, gradient, update 5
    embeddings = a.embedding_passes * rows * a.dim
    return products / a.tflops / 1e9 + 4 * (logits + centres + embeddings) / a.memory / 1e9


def head_traffic(a, net):
    rows = a.batch * net.world
    gather = net.all_gather(rows * 4 * (a.dim + 4))  # embedding, label, norm
    scatter = net.reduce_scatter(rows * 4 * a.dim)
    # The target's cosine; three maxima and a flag; the sum of exponentials.
    return gather, scatter, sum(net.all_reduce(rows * size) for size in (8, 16, 8))


def gradient_traffic(a, net):
    """The buckets' all-reduces, and the part of them that backward cannot hide."""
    size = a.parameters * a.gradient_bytes
    total = net.all_reduce(size) + (a.buckets - 1) * net.all_reduce(0)
    last = net.all_reduce(size * a.last_bucket)  # leaves when backward ends
    return total, max(last, total - 0.9 * a.backward)


def print_table(a, between_nodes):
    print("  GPUs network   head gather scatter reduce gradients  left"
          "   step  images/s of linear  decode")
    one = None
    for world in WORLDS:
        net = Network(a, between_nodes, world)
        own, work = a.forward + a.backward + a.optimizer, head_work(a, world)
        gather, scatter, reduce = head_traffic(a, net)
        reduce += net.all_reduce(4)  # whether the gradients are finite
        total, left = gradient_traffic(a, net)
        step = own + work + gather + scatter + reduce + left
        one = one or step
        speed = a.batch / step * 1e3
        print(f"{world:6d} {own:7.1f} {work:6.2f} {gather:6.2f} {scatter:7.2f} {reduce:6.2f}"
              f" {total:9.2f} {left:5.2f} {step:6.1f} {speed * world:9.0f} {one / step:9.0%}"
              f" {speed / a.decode:7.1f}")


def main():
    a = arguments()
    chosen = NETWORKS if a.network == "both" else (a.network,)
    for name in chosen:
        print(f"{NETWORKS[name]}:")
        print_table(a, getattr(a, name.replace("-", "_")))


if __name__ == "__main__":
    main()
