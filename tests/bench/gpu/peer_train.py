#!/usr/bin/env python3
"""The peer of train_bench: a plain eager PyTorch step on one device, as arcface_torch makes it.

NCHW, fp16 autocast with GradScaler (or bf16, fp32), head of margin_head.py, SGD with momentum for network and head, gradients clipped at 5.
Images are on the device already (uint8); with --data, a DataLoader decodes the JPEG images of a data set (OpenCV's Python package).
    peer_train.py [--network iresnet50] [--batch 256] [--classes 93431 | --data FOLDER [--workers 8]] [--precision fp16|bf16|tf32|fp32]
                  [--channels-last] [--device cpu|cuda] [--steps 40] [--warmup 10]
Prints one line of JSON with the keys of train_bench.
"""
import argparse
import importlib.util
import json
import pathlib
import sys
import time

import torch

import device_meter
import hashed_values
import margin_head

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "model"))
import pytorch_backbones  # noqa: E402

BATCHES, TRIED = 4, 2


class DeviceBatches:
    """A few batches that are on the device already, in turn."""

    def __init__(self, args, layout):
        self.classes, self.waited, self.layout, self.next_batch = args.classes, 0.0, layout, 0
        self.batches = [(hashed_values.images(i, args.batch, args.device), hashed_values.labels(i, args.batch, args.classes, args.device))
                        for i in range(BATCHES)]

    def next(self):
        images, labels = self.batches[self.next_batch % BATCHES]
        self.next_batch += 1
        return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.layout).div_(255).sub_(0.5).div_(0.5), labels


class LoadedBatches:
    """JPEG images of a folder in the InsightFace layout; epochs follow each other."""

    def __init__(self, args, layout):
        reader = pathlib.Path(__file__).resolve().parents[1] / "peer_train.py"
        spec = importlib.util.spec_from_file_location("record_faces", reader)
        record_faces = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(record_faces)
        record_faces.cv2.setNumThreads(0)
        self.waited, self.layout, self.device = 0.0, layout, args.device
        self.classes = int((args.data / "property").read_text().split(",")[0])
        self.loader = torch.utils.data.DataLoader(record_faces.RecordFaces(args.data), args.batch, shuffle=True, num_workers=args.workers,
                                                  drop_last=True, pin_memory=args.device == "cuda", persistent_workers=args.workers > 0)
        if len(self.loader) == 0:
            raise SystemExit(f"peer_train.py: {args.data} has fewer images than a batch of {args.batch}")
        self.epoch = iter(self.loader)

    def next(self):
        start = time.perf_counter()
        try:
            faces, labels = next(self.epoch)
        except StopIteration:
            self.epoch = iter(self.loader)
            faces, labels = next(self.epoch)
        self.waited += time.perf_counter() - start
        return faces.to(self.device, non_blocking=True, memory_format=self.layout), labels.to(self.device, non_blocking=True)


class Training:
    def __init__(self, args, classes, layout):
        self.args = args
        self.network = pytorch_backbones.make_network(args.network)
        hashed_values.fill_network(self.network)
        if hasattr(self.network, "features") and self.network.features.affine:
            self.network.features.weight.requires_grad_(False)
        self.network = self.network.to(args.device).to(memory_format=layout).train()
        self.head = margin_head.Head(classes, args)
        parameters = [p for p in [*self.network.parameters(), *self.head.parameters()] if p.requires_grad]
        self.optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)
        self.scaler = torch.amp.GradScaler(args.device, growth_interval=100, enabled=device_meter.precision_of(args) == "fp16")

    def step(self, faces, labels):
        with device_meter.autocast(self.args):
            embeddings = self.network(faces)
        loss = self.head(embeddings.float(), labels)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss.detach()


def measure(args):
    torch.manual_seed(1)
    device_meter.set_arithmetic(args)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    source = (LoadedBatches if args.data else DeviceBatches)(args, layout)
    training = Training(args, source.classes, layout)

    def steps(count):
        for _ in range(count):
            loss = training.step(*source.next())
        device_meter.synchronize(args.device)
        return loss

    first = steps(1).item()
    steps(TRIED - 1)
    device_meter.reset_peak_memory(args.device)
    if args.warmup > 0:
        steps(args.warmup)
    waited_before, scale = source.waited, training.scaler.get_scale()
    start = time.perf_counter()
    loss = steps(args.steps)
    seconds = time.perf_counter() - start
    return {"bench": "train", "side": "eager", "device": args.device, "network": args.network, "batch": args.batch,
            "classes": source.classes, "images": "jpeg" if args.data else "device", "precision": device_meter.precision_of(args),
            "layout": "NHWC" if args.channels_last else "NCHW", "images_per_second": args.batch * args.steps / seconds,
            "step_ms": 1000 * seconds / args.steps, "data_wait_share": (source.waited - waited_before) / seconds,
            **device_meter.peak_memory(args.device), "first_loss": first, "loss": loss.item(),
            "skipped": device_meter.skipped_updates(scale, training.scaler.get_scale())}


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="iresnet50")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--classes", type=int, default=93431)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=8, help="DataLoader processes")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=10)
    device_meter.add_arguments(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    print(json.dumps(measure(parse())))
