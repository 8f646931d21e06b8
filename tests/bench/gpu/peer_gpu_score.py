#!/usr/bin/env python3
"""The peer of gpu_score_bench: softmax probability of the own class, plain eager PyTorch: evaluation mode, no_grad, autocast, each batch's
probabilities copied to the host. Images are on the device already (uint8).
    peer_gpu_score.py [--network iresnet50] [--batch 512] [--classes 93431] [--precision fp16|bf16|tf32|fp32] [--channels-last]
                      [--device cpu|cuda] [--steps 20] [--warmup 3]
Prints one line of JSON with the keys of gpu_score_bench.
"""
import argparse
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

import device_meter
import hashed_values
import margin_head

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "model"))
import pytorch_backbones  # noqa: E402

BATCHES, TRIED = 4, 2


@torch.no_grad()
def measure(args):
    device_meter.set_arithmetic(args)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    network = pytorch_backbones.make_network(args.network)
    hashed_values.fill_network(network)
    network = network.to(args.device).to(memory_format=layout).eval()
    centres = F.normalize(hashed_values.fill_centres(torch.empty(args.classes, 512, device=args.device)))
    batches = [(hashed_values.images(i, args.batch, args.device), hashed_values.labels(i, args.batch, args.classes, args.device))
               for i in range(BATCHES)]

    def score(i):
        images, labels = batches[i % BATCHES]
        faces = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).div_(255).sub_(0.5).div_(0.5)
        with device_meter.autocast(args):
            logits = margin_head.SCALE * F.linear(F.normalize(network(faces)), centres)
        return logits.float().softmax(1).gather(1, labels[:, None])[:, 0].cpu()

    first = score(0).clamp_min(1e-30).log().mean().item()
    for i in range(1, TRIED):
        score(i)
    device_meter.reset_peak_memory(args.device)
    for i in range(args.warmup):
        score(i)
    start = time.perf_counter()
    for i in range(args.steps):
        score(i)
    seconds = time.perf_counter() - start
    return {"bench": "score", "side": "eager", "device": args.device, "network": args.network, "batch": args.batch,
            "classes": args.classes, "precision": device_meter.precision_of(args), "layout": "NHWC" if args.channels_last else "NCHW",
            "images_per_second": args.batch * args.steps / seconds, "step_ms": 1000 * seconds / args.steps,
            **device_meter.peak_memory(args.device), "first_log_probability": first}


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="iresnet50")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--classes", type=int, default=93431)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    device_meter.add_arguments(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    print(json.dumps(measure(parse())))
