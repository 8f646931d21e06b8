#!/usr/bin/env python3
"""Plain PyTorch training, as arcface_torch does it on CPUs: DistributedDataParallel over gloo, DataLoader over a .rec, CosFace, SGD.

    torchrun --nproc_per_node=2 peer_train.py --data FOLDER --network iresnet18 [--batch 32] [--warmup 4] [--steps 12] [--workers 1]

FOLDER holds train.rec, train.idx and property (InsightFace layout). Needs torch, numpy and OpenCV's Python package. Rank 0 prints one line of
JSON: images a second over all ranks, and each rank's peak resident memory (DataLoader workers not counted) and processor time a step (workers
counted). bench/compare_train.sh compares it with ours.
"""
import argparse
import json
import os
import pathlib
import resource
import struct
import sys
import time

import cv2
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "model"))
import pytorch_backbones  # noqa: E402

MAGIC = 0xCED7230A


class RecordFaces(Dataset):
    """Images and labels of an InsightFace record file; faces float [3, 112, 112], (x / 255 - 0.5) / 0.5, mirrored half of the time."""

    def __init__(self, folder):
        self.path = folder / "train.rec"
        offsets = dict(map(int, line.split()) for line in (folder / "train.idx").read_text().splitlines())
        with open(self.path, "rb") as rec:
            header = self.record(rec, offsets[0])[0]
        self.offsets = [offsets[key] for key in range(1, int(header[0]))]
        self.rec = None  # opened by each worker

    def __len__(self):
        return len(self.offsets)

    @staticmethod
    def record(rec, offset):
        rec.seek(offset)
        magic, word = struct.unpack("<II", rec.read(8))
        if magic != MAGIC or word >> 29:
            raise ValueError(f"no whole record at offset {offset}")
        payload = rec.read(word & ((1 << 29) - 1))
        flag, label = struct.unpack_from("<If", payload)
        labels = struct.unpack_from(f"<{flag}f", payload, 24) if flag else (label,)
        return labels, payload[24 + 4 * flag:]

    def __getitem__(self, index):
        if self.rec is None:
            self.rec = open(self.path, "rb")
        labels, image = self.record(self.rec, self.offsets[index])
        face = cv2.cvtColor(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        if torch.rand(()) < 0.5:
            face = face[:, ::-1]
        face = torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))
        return face.to(torch.float32).div_(255).sub_(0.5).div_(0.5), int(labels[0])


class CosFaceNetwork(torch.nn.Module):
    """Backbone and replicated CosFace head; forward gives the loss."""

    def __init__(self, backbone, classes, scale=64.0, margin=0.35):
        super().__init__()
        self.backbone, self.scale, self.margin = backbone, scale, margin
        self.centres = torch.nn.Parameter(torch.randn(classes, 512) * 0.01)

    def forward(self, faces, labels):
        cosines = F.linear(F.normalize(self.backbone(faces)), F.normalize(self.centres))
        target = torch.zeros_like(cosines).scatter_(1, labels[:, None], self.margin)
        return F.cross_entropy(self.scale * (cosines - target), labels)


def batches(loader, sampler):
    epoch = 0
    while True:
        sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


def peak_mib():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cpu_seconds():
    """Of this process and of its DataLoader workers, which have not ended."""
    tick = os.sysconf("SC_CLK_TCK")
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for child in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        fields = pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / tick
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--network", default="iresnet18")
    parser.add_argument("--batch", type=int, default=32, help="images a process")
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--workers", type=int, default=1, help="DataLoader processes a rank")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    dist.init_process_group("gloo")
    torch.manual_seed(1)
    classes = int((args.data / "property").read_text().split(",")[0])
    network = CosFaceNetwork(pytorch_backbones.make_network(args.network), classes)
    model = DistributedDataParallel(network, broadcast_buffers=False, bucket_cap_mb=16)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)
    faces = RecordFaces(args.data)
    sampler = DistributedSampler(faces, shuffle=True)
    loader = DataLoader(faces, args.batch, sampler=sampler, num_workers=args.workers, drop_last=True, persistent_workers=args.workers > 0)
    source = batches(loader, sampler)
    for step in range(args.warmup + args.steps):
        if step == args.warmup:
            dist.barrier()
            start, start_cpu = time.perf_counter(), cpu_seconds()
        images, labels = next(source)
        loss = model(images, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.backbone.parameters(), 5)
        optimizer.step()
        optimizer.zero_grad()
    own = {"peak_mib": peak_mib(), "cpu_seconds": cpu_seconds() - start_cpu, "loss": loss.item()}
    dist.barrier()
    seconds = time.perf_counter() - start
    ranks = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, own)
    if dist.get_rank() == 0:
        images_done = args.steps * args.batch * len(ranks)
        print(json.dumps({"images_per_second": images_done / seconds,
                          "images_per_cpu_second": images_done / sum(r["cpu_seconds"] for r in ranks),
                          "peak_mib": max(r["peak_mib"] for r in ranks), "loss": ranks[0]["loss"]}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
