#!/usr/bin/env python3
"""The peer of gpu_head_bench: the head of arcface_torch's Partial FC on one device, plain eager PyTorch.

Product of normalised rows under autocast, float32 logits, CosFace, softmax cross-entropy by hand, GradScaler (fp16), SGD with momentum.
With --sample-rate below 1: rows of the batch's classes and of random others are gathered, updated and written back, their momenta too.
    peer_head.py [--batch 512] [--classes 93431] [--sample-rate 1] [--precision fp16|bf16|tf32|fp32] [--device cpu|cuda] [--steps 20]
                 [--warmup 5]
Prints one line of JSON with the keys of gpu_head_bench.
"""
import argparse
import json
import math
import time

import torch

import device_meter
import hashed_values
import margin_head

BATCHES, TRIED = 4, 2
SGD = {"lr": 0.001, "momentum": 0.9, "weight_decay": 5e-4}


def make_scaler(args):
    return torch.amp.GradScaler(args.device, enabled=device_meter.precision_of(args) == "fp16")


class FullHead:
    def __init__(self, args):
        self.head = margin_head.Head(args.classes, args)
        self.optimizer = torch.optim.SGD([self.head.weight], **SGD)
        self.scaler = make_scaler(args)

    def step(self, embeddings, labels):
        loss = self.head(embeddings, labels)
        update(loss, self.optimizer, self.scaler)
        return loss


class SampledHead:
    def __init__(self, args):
        self.args = args
        self.weight = hashed_values.fill_centres(torch.empty(args.classes, 512, device=args.device))
        self.momentum = torch.zeros_like(self.weight)
        self.count = min(args.classes, max(math.ceil(args.sample_rate * args.classes), args.batch))
        self.optimizer = torch.optim.SGD([torch.nn.Parameter(self.weight[:1])], **SGD)
        self.scaler = make_scaler(args)

    def sample(self, labels):
        chance = torch.rand(self.weight.size(0), device=self.args.device)
        chance[labels.unique()] = 2.0
        return chance.topk(self.count).indices.sort().values

    def step(self, embeddings, labels):
        rows = self.sample(labels)
        active = torch.nn.Parameter(self.weight[rows])
        self.optimizer.state.clear()
        self.optimizer.param_groups[0]["params"] = [active]
        self.optimizer.state[active]["momentum_buffer"] = self.momentum[rows]
        loss = margin_head.margin_loss(embeddings, active, torch.searchsorted(rows, labels), self.args)
        update(loss, self.optimizer, self.scaler)
        self.momentum[rows] = self.optimizer.state[active]["momentum_buffer"]
        self.weight[rows] = active.detach()
        return loss


def update(loss, optimizer, scaler):
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


def measure(args):
    torch.manual_seed(1)
    device_meter.set_arithmetic(args)
    head = FullHead(args) if args.sample_rate == 1 else SampledHead(args)
    batches = []
    for i in range(BATCHES):
        embeddings = hashed_values.fill(torch.empty(args.batch, 512, device=args.device), hashed_values.EMBEDDINGS + i, 1)
        batches.append((embeddings.requires_grad_(), hashed_values.labels(i, args.batch, args.classes, args.device)))

    def step(i):
        embeddings, labels = batches[i % BATCHES]
        loss = head.step(embeddings, labels)
        embeddings.grad = None
        return loss.detach()

    first = step(0).item()
    for i in range(1, TRIED):
        step(i)
    device_meter.synchronize(args.device)
    device_meter.reset_peak_memory(args.device)
    for i in range(TRIED, TRIED + args.warmup):
        step(i)
    device_meter.synchronize(args.device)
    scale = head.scaler.get_scale()
    start = time.perf_counter()
    for i in range(TRIED + args.warmup, TRIED + args.warmup + args.steps):
        loss = step(i)
    device_meter.synchronize(args.device)
    seconds = time.perf_counter() - start
    return {"bench": "head", "side": "eager", "device": args.device, "batch": args.batch, "classes": args.classes,
            "sample_rate": args.sample_rate, "precision": device_meter.precision_of(args),
            "images_per_second": args.batch * args.steps / seconds, "step_ms": 1000 * seconds / args.steps,
            **device_meter.peak_memory(args.device), "first_loss": first, "loss": loss.item(),
            "skipped": device_meter.skipped_updates(scale, head.scaler.get_scale())}


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--classes", type=int, default=93431)
    parser.add_argument("--sample-rate", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    device_meter.add_arguments(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    print(json.dumps(measure(parse())))
