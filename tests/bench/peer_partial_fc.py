"""A model-parallel softmax head in plain PyTorch over gloo, as the peer of head_bench: classes split over processes, cosine logits,
CosFace margin, distributed cross-entropy, SGD with momentum over the (sampled) rows. One JSON line a mode.
Usage: peer_partial_fc.py [--batch 512] [--dim 512] [--steps 3] [--processes 2] [--rates 1.0 0.1] CLASSES ..."""
import argparse
import json
import os
import resource
import socket
import statistics
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

SCALE, MARGIN = 64.0, 0.35


class Head:
    """Rows [first, first + local) of the centres, float32, on this process."""

    def __init__(self, classes, dim, rate):
        rank, world = dist.get_rank(), dist.get_world_size()
        self.first = classes * rank // world
        self.local = classes * (rank + 1) // world - self.first
        self.rate = rate
        self.weight = torch.randn(self.local, dim) * 0.01
        self.momentum = torch.zeros(self.local, dim).fill_(0.0)

    def sample(self, labels):
        """Rows that take part: own classes of the batch and random others."""
        if self.rate == 1.0:
            return None
        positive = labels[(labels >= self.first) & (labels < self.first + self.local)] - self.first
        score = torch.rand(self.local)
        score[positive] = 2.0
        return score.topk(max(int(self.rate * self.local), positive.unique().numel())).indices.sort().values

    def step(self, embeddings, labels, rate):
        world, rank, rows = dist.get_world_size(), dist.get_rank(), embeddings.size(0)
        parts = [torch.empty_like(embeddings) for _ in range(world)]
        dist.all_gather(parts, embeddings)
        all_labels = [torch.empty_like(labels) for _ in range(world)]
        dist.all_gather(all_labels, labels)
        labels = torch.cat(all_labels)
        x = torch.cat(parts).requires_grad_(True)
        index = self.sample(labels)
        rows_weight = self.weight if index is None else self.weight[index]
        w = rows_weight.detach().requires_grad_(True)
        local = labels - self.first
        here = (local >= 0) & (local < self.local)
        column = local.clamp(0, self.local - 1)
        if index is not None:
            column = torch.searchsorted(index, column).clamp_max(index.numel() - 1)
        cosine = F.linear(F.normalize(x), F.normalize(w)).clamp(-1, 1)
        samples = here.nonzero(as_tuple=True)[0]
        with torch.no_grad():
            logits = cosine * SCALE
            logits[samples, column[samples]] -= SCALE * MARGIN
            top = logits.amax(1)
            dist.all_reduce(top, dist.ReduceOp.MAX)
            logits.sub_(top[:, None]).exp_()
            total = logits.sum(1)
            dist.all_reduce(total)
            logits.div_(total[:, None])
            target = torch.zeros(labels.numel())
            target[samples] = logits[samples, column[samples]]
            dist.all_reduce(target)
            loss = -target.clamp_min(1e-30).log().mean()
            logits[samples, column[samples]] -= 1
            logits.mul_(SCALE / labels.numel())
        cosine.backward(logits)
        gradient = x.grad
        dist.all_reduce(gradient)
        with torch.no_grad():
            velocity = self.momentum if index is None else self.momentum[index]
            velocity.mul_(0.9).add_(w.grad).add_(rows_weight, alpha=5e-4)
            if index is None:
                self.weight.add_(velocity, alpha=-rate)
            else:
                self.momentum[index] = velocity
                self.weight[index] = rows_weight - rate * velocity
        return loss, gradient[rank * rows:(rank + 1) * rows]


def measure(classes, rate, arguments):
    torch.manual_seed(dist.get_rank())
    head = Head(classes, arguments.dim, rate)
    rows = arguments.batch // dist.get_world_size()
    embeddings = torch.randn(rows, arguments.dim)
    labels = torch.randint(classes, (rows,))
    times = []
    for _ in range(arguments.steps + 1):
        dist.barrier()
        start = time.perf_counter()
        head.step(embeddings, labels, 0.1)
        dist.barrier()
        times.append((time.perf_counter() - start) * 1e3)
    if dist.get_rank() == 0:
        print(json.dumps({
            "bench": "peer_head", "mode": f"rate_{rate}", "world_size": dist.get_world_size(), "threads": torch.get_num_threads(),
            "C": classes, "B": arguments.batch, "D": arguments.dim, "repeats": arguments.steps,
            "step_ms": round(statistics.median(times[1:]), 1),
            "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}), flush=True)


def work(rank, port, arguments):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=arguments.processes)
    for classes in arguments.classes:
        for rate in arguments.rates:
            measure(classes, rate, arguments)
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("classes", type=int, nargs="+")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 0.1])
    arguments = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(work, args=(port, arguments), nprocs=arguments.processes)


if __name__ == "__main__":
    main()
