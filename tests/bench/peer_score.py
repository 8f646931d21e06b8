#!/usr/bin/env python3
"""Plain PyTorch scoring: probability of the own class of every image, evaluation mode, no_grad, images split over gloo processes.

    torchrun --nproc_per_node=2 peer_score.py --data FOLDER --images N --network NAME --checkpoint CHECKPOINT --backbone PTH --out FILE.npy
                                              [--batch 64] [--workers 1]

The first N images of FOLDER (InsightFace layout). The network's weights come from PTH, the head's from CHECKPOINT (its manifest.json and
head.*.pth). Rank 0 writes the probabilities, float32 [N], and prints one line of JSON: images a second over all ranks, start-up not counted.
bench/compare_score.sh compares it with ours.
"""
import argparse
import json
import pathlib
import time

import cv2
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.utils.data import DataLoader, Subset

from peer_train import RecordFaces, pytorch_backbones


class PlainFaces(RecordFaces):
    """Without the random mirroring of training."""

    def __getitem__(self, index):
        if self.rec is None:
            self.rec = open(self.path, "rb")
        labels, image = self.record(self.rec, self.offsets[index])
        face = cv2.cvtColor(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        face = torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))
        return face.to(torch.float32).div_(255).sub_(0.5).div_(0.5), int(labels[0])


def read_head(checkpoint):
    scale = json.loads((checkpoint / "manifest.json").read_text())["scale"]
    shards = [torch.load(path)["weight"] for path in sorted(checkpoint.glob("head.*.pth"))]
    return F.normalize(torch.cat(shards).float()), scale


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--checkpoint", "--backbone", "--out"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--batch", type=int, default=64, help="images a process")
    parser.add_argument("--workers", type=int, default=1, help="DataLoader processes a rank")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    network = pytorch_backbones.make_network(args.network)
    network.load_state_dict(torch.load(args.backbone), strict=True)
    network.eval()
    centres, scale = read_head(args.checkpoint)
    mine = range(args.images * rank // world, args.images * (rank + 1) // world)
    loader = DataLoader(Subset(PlainFaces(args.data), mine), args.batch, num_workers=args.workers)
    dist.barrier()
    start = time.perf_counter()
    parts = []
    with torch.no_grad():
        for faces, labels in loader:
            logits = scale * F.linear(F.normalize(network(faces)), centres)
            parts.append(logits.softmax(1).gather(1, labels[:, None])[:, 0])
    gathered = [None] * world
    dist.all_gather_object(gathered, torch.cat(parts))
    seconds = time.perf_counter() - start
    if rank == 0:
        np.save(args.out, torch.cat(gathered).numpy())
        print(json.dumps({"images_per_second": args.images / seconds}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
