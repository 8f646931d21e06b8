#!/usr/bin/env python3
"""The peer of train_bench: a plain eager PyTorch step on one GPU, as arcface_torch makes it.

NCHW, fp16 autocast with GradScaler (or bf16, fp32), classifier as a matrix product of normalised rows in 16 bit with float32 logits, CosFace,
softmax cross-entropy by hand over the shard, SGD with momentum for network and head, gradients clipped at 5. Images are on the GPU already.
    peer_train.py [--network iresnet50] [--batch 256] [--classes 93431] [--precision fp16] [--channels-last] [--steps 40] [--warmup 10]
Prints one line of JSON with the keys of train_bench.
"""
import argparse
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "model"))
import pytorch_backbones  # noqa: E402


class SoftmaxCrossEntropy(torch.autograd.Function):
    """Over logits whose buffer becomes the gradient, as a sharded head does it."""

    @staticmethod
    def forward(ctx, logits, labels):
        largest = logits.max(1, keepdim=True).values
        logits = logits.sub_(largest).exp_()
        logits.div_(logits.sum(1, keepdim=True))
        own = logits.gather(1, labels[:, None])
        ctx.save_for_backward(logits, labels)
        return own.clamp_min(1e-30).log().mean().neg()

    @staticmethod
    def backward(ctx, grad):
        logits, labels = ctx.saved_tensors
        logits.scatter_add_(1, labels[:, None], torch.full_like(labels[:, None], -1, dtype=logits.dtype))
        return logits.div_(logits.size(0)).mul_(grad), None


class Head(torch.nn.Module):
    def __init__(self, classes, scale=64.0, margin=0.35):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(classes, 512) * 0.01)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings, labels, precision):
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            logits = F.linear(F.normalize(embeddings), F.normalize(self.weight))
        logits = logits.float().clamp(-1, 1)
        own = torch.arange(labels.numel(), device=labels.device)
        logits[own, labels] -= self.margin
        return SoftmaxCrossEntropy.apply(logits * self.scale, labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="iresnet50")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--classes", type=int, default=93431)
    parser.add_argument("--precision", default="fp16", choices=["fp16", "bf16", "fp32"])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=10)
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    precision = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[args.precision]
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    network = pytorch_backbones.make_network(args.network).cuda().to(memory_format=layout).train()
    head = Head(args.classes).cuda()
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)
    scaler = torch.amp.GradScaler("cuda", growth_interval=100, enabled=args.precision == "fp16")
    images = [torch.randint(0, 256, (args.batch, 112, 112, 3), dtype=torch.uint8).cuda() for _ in range(4)]
    labels = [torch.randint(0, args.classes, (args.batch,)).cuda() for _ in range(4)]

    def step(i):
        faces = images[i % 4].permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).div_(255).sub_(0.5).div_(0.5)
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            embeddings = network(faces)
        loss = head(embeddings.float(), labels[i % 4], precision)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return loss

    for i in range(args.warmup):
        first = step(i)
    first = first.item()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    for i in range(args.steps):
        loss = step(i)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    print(json.dumps({"network": args.network, "batch": args.batch, "classes": args.classes, "precision": args.precision,
                      "layout": "NHWC" if args.channels_last else "NCHW", "images_per_second": args.batch * args.steps / seconds,
                      "step_ms": 1000 * seconds / args.steps, "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
                      "peak_reserved_mib": torch.cuda.max_memory_reserved() / 2**20, "first_loss": first, "loss": loss.item()}))


if __name__ == "__main__":
    main()
