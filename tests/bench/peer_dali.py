#!/usr/bin/env python3
"""Our loader beside NVIDIA DALI's CPU pipeline: the same images, threads and batch size, turn by turn in one run.

    peer_dali.py LOADER_BENCH DATASET [--batch 256] [--rounds 3]

LOADER_BENCH is our benchmark program, DATASET a folder with train.rec and train.idx. Needs the PyPI package nvidia-dali-cuda120 (or -cuda130).
Prints JSON: images a second of both and their ratio, decoding alone and with a random horizontal flip; medians over the rounds. "per core" is by
processor time, which other programs on the machine disturb less.
"""
import argparse
import json
import os
import statistics
import struct
import subprocess
import tempfile
import time

import nvidia.dali as dali
from nvidia.dali import fn, pipeline_def, types

MAGIC = 0xCED7230A


def image_records(rec_path, idx_path):
    """Label and encoded image of each record that has one (the header and identity records of InsightFace have none)."""
    with open(idx_path) as lines:
        offsets = sorted((int(key), int(offset)) for key, offset in (line.split() for line in lines))
    with open(rec_path, "rb") as rec:
        for _, offset in offsets:
            rec.seek(offset)
            magic, word = struct.unpack("<II", rec.read(8))
            if magic != MAGIC or word >> 29 != 0:
                raise SystemExit(f"{rec_path}: no whole record at offset {offset}")
            payload = rec.read(word & ((1 << 29) - 1))
            flag, label = struct.unpack_from("<If", payload)
            if flag:
                (label,) = struct.unpack_from("<f", payload, 24)
            image = payload[24 + 4 * flag:]
            if image:
                yield label, image


def write_plain_records(dataset, folder):
    """DALI's reader takes records with one label each: the same images in that form. Returns paths and the number of images."""
    rec_path, idx_path = os.path.join(folder, "plain.rec"), os.path.join(folder, "plain.idx")
    count = 0
    with open(rec_path, "wb") as rec, open(idx_path, "w") as idx:
        for label, image in image_records(os.path.join(dataset, "train.rec"), os.path.join(dataset, "train.idx")):
            idx.write(f"{count}\t{rec.tell()}\n")
            payload = struct.pack("<IfQQ", 0, label, count, 0) + image
            rec.write(struct.pack("<II", MAGIC, len(payload)) + payload + b"\0" * (-len(payload) % 4))
            count += 1
    return rec_path, idx_path, count


@pipeline_def
def decode_pipeline(rec_path, idx_path, flip):
    jpegs, labels = fn.readers.mxnet(path=[rec_path], index_path=[idx_path], name="reader", random_shuffle=flip)
    images = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB)
    if flip:
        images = fn.flip(images, horizontal=fn.random.coin_flip(probability=0.5))
    return images, labels


class Peer:
    """One warmed-up pipeline."""

    def __init__(self, records, batch, threads, flip):
        rec_path, idx_path, count = records
        self.batch, self.steps = batch, max(1, count // batch)
        self.pipeline = decode_pipeline(rec_path, idx_path, flip, batch_size=batch, num_threads=threads, device_id=None,
                                        prefetch_queue_depth=4)
        self.pipeline.build()
        self.rate()

    def rate(self):
        """Images a second of wall time, and of processor time."""
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(self.steps):
            self.pipeline.run()
        images = self.steps * self.batch
        return images / (time.perf_counter() - wall), images / (time.process_time() - processor)


def our_rates(program, dataset, batch):
    answer = subprocess.run([program, dataset, str(batch), "1", "0"], check=True, capture_output=True, text=True)
    report = json.loads(answer.stdout)
    return report["rates"], report["rates_per_core"]


def compare(ours, peers):
    """Medians of (wall, processor) rates, and their ratios."""
    result = {}
    for i, kind in enumerate(("wall", "per core")):
        mine, theirs = (statistics.median(rates[i] for rates in side) for side in (ours, peers))
        result[kind] = {"diffprob": round(mine), "dali": round(theirs), "ratio": round(mine / theirs, 2)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loader_bench")
    parser.add_argument("dataset")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cases = {(threads, flip): f"{'loader_flip' if flip else 'loader'}_{'1_thread' if threads == 1 else '2_threads'}"
             for threads in (1, 2) for flip in (False, True)}
    ours, peers = {case: [] for case in cases}, {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        records = write_plain_records(arguments.dataset, folder)
        for _ in range(arguments.rounds):
            wall, processor = our_rates(arguments.loader_bench, arguments.dataset, arguments.batch)
            for case, name in cases.items():
                ours[case].append((wall[name], processor[name]))
                # A pipeline decodes ahead while it lives: only one at a time.
                peer = Peer(records, arguments.batch, *case)
                peers[case].append(peer.rate())
                del peer
    report = {"benchmark": "loader beside DALI (CPU)", "dali": dali.__version__, "images": records[2], "batch": arguments.batch,
              "rounds": arguments.rounds, "cores": os.cpu_count(), "unit": "images/s", "cases": {}}
    for case, name in cases.items():
        report["cases"][name] = compare(ours[case], peers[case])
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
