#!/usr/bin/env python3
"""Computes the time of a training step on 1 to 1,024 GPUs from figures of one GPU and of a network.

No figure was measured here on more than one GPU. Each option names its source, and each figure can
be replaced by your own. launch/scaling/SCALING.md explains the columns. Times are in ms.

    scaling.py                                     both networks
    scaling.py --network one-card --one-card 20    nodes with a single 200 Gb/s card
    scaling.py --classes 1e6 --batch 128           another head, smaller batches
    scaling.py --head-group 8                      a copy of the classes on each node (model.head_group)
    scaling.py --head-group best                   the fastest groups for each number of GPUs
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
    add("head-group", "0", "G: GPUs that share one copy of the classes; 0: all; best: the fastest",
        lambda text: text if text == "best" else int(text))
    add("embedding-bytes", "4", "bytes per number of an embedding on the wire")
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


def head_work(a, group, copies):
    """Matrix products, and the float32 numbers that the passes of model/ read and write."""
    rows, own = a.batch * group, a.classes / group
    products = 3 * 2 * rows * own * a.dim
    logits = 8 * rows * own  # product, maxima, exponentials 2, product, factor 2, product
    centres = (9 + 2 * (copies > 1)) * own * a.dim  # norms, 2 products, gradient, update 5; sum of the copies 2
    embeddings = a.embedding_passes * rows * a.dim
    return products / a.tflops / 1e9 + 4 * (logits + centres + embeddings) / a.memory / 1e9


def head_traffic(a, net):
    """Inside the GPUs that share a copy."""
    rows = a.batch * net.world
    gather = net.all_gather(rows * (a.embedding_bytes * a.dim + 16))  # embedding, label, norm
    scatter = net.reduce_scatter(rows * 4 * a.dim)
    # The target's cosine; three maxima and a flag; the sum of exponentials.
    return gather, scatter, sum(net.all_reduce(rows * size) for size in (8, 16, 8))


def centre_traffic(a, between_nodes, world, group):
    """All-reduce of the centres' gradients over the copies: every GPU of a node is in another one."""
    copies = world // group
    if copies == 1:
        return 0.0
    on_node = min(a.node, world)
    if group < on_node:  # several copies on a node: its all-reduce counts every GPU as a node
        return Network(a, between_nodes, world).all_reduce(4 * a.dim * a.classes / group)
    net = Network(a, between_nodes, world)
    start, _, hop = a.tree
    latency = start + 2 * math.log2(copies) * hop
    size = 4 * a.dim * a.classes / group * on_node  # of all GPUs of the node, over its cards
    return latency / 1e3 + 2 * (copies - 1) / copies * size / net.speed / 1e6


def gradient_traffic(a, net, before):
    """The buckets' all-reduces behind what goes `before`, and the part that backward cannot hide."""
    size = a.parameters * a.gradient_bytes
    total = net.all_reduce(size) + (a.buckets - 1) * net.all_reduce(0)
    last = net.all_reduce(size * a.last_bucket)  # leaves when backward ends
    return total, max(last, before + total - 0.9 * a.backward)


def head_memory(a, group, copies):
    """MiB of centres, momenta and the sum over the copies; of three [B, D]: embeddings that were
    gathered, sums of centres for each, their gradients."""
    return 4 * a.dim * ((2 + (copies > 1)) * a.classes / group + 3 * a.batch * group) / 2**20


class Step:
    """A step on `world` GPUs, `group` of which share a copy of the classes."""

    def __init__(self, a, between_nodes, world, group):
        net = Network(a, between_nodes, world)
        self.group, copies = group, world // group
        self.network = a.forward + a.backward + a.optimizer
        self.head = head_work(a, group, copies)
        self.gather, self.scatter, self.reduce = head_traffic(a, Network(a, between_nodes, group))
        self.reduce += net.all_reduce(4)  # whether the gradients are finite
        self.centres = centre_traffic(a, between_nodes, world, group)
        self.gradients, self.left = gradient_traffic(a, net, self.centres)
        self.total = self.network + self.head + self.gather + self.scatter + self.reduce + self.left
        self.memory = head_memory(a, group, copies)


def groups(a, world):
    if a.head_group != "best":
        return [world if a.head_group == 0 or world % a.head_group else a.head_group]
    return [world] + [n for n in (a.node * 2**i for i in range(8)) if n < world and world % n == 0]


def print_table(a, between_nodes):
    print("  GPUs group network   head gather scatter reduce centres gradients  left"
          "   step  images/s of linear  decode  head MiB")
    one = None
    for world in WORLDS:
        step = min((Step(a, between_nodes, world, group) for group in groups(a, world)),
                   key=lambda step: step.total)
        one = one or step.total
        speed = a.batch / step.total * 1e3
        print(f"{world:6d} {step.group:5d} {step.network:7.1f} {step.head:6.2f} {step.gather:6.2f}"
              f" {step.scatter:7.2f} {step.reduce:6.2f} {step.centres:7.2f} {step.gradients:9.2f}"
              f" {step.left:5.2f} {step.total:6.1f} {speed * world:9.0f} {one / step.total:9.0%}"
              f" {speed / a.decode:7.1f} {step.memory:9.0f}")


def main():
    a = arguments()
    chosen = NETWORKS if a.network == "both" else (a.network,)
    for name in chosen:
        print(f"{NETWORKS[name]}:")
        print_table(a, getattr(a, name.replace("-", "_")))


if __name__ == "__main__":
    main()
