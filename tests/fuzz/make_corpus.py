#!/usr/bin/env python3
"""Puts files of the program into the corpus of the fuzz targets, with the choices in front that each target takes.

    make_corpus.py SET TRAINING PRUNING CORPUS

SET: a folder of `diffprob data synth`; TRAINING: output of `train --train.record=history` and `score` on it; PRUNING: output of `prune`. A few people
and images each, or the corpus grows. Seeds without such a file are written here.
"""
import argparse
import io
import json
import pathlib
import pickle
import struct
import sys
import zlib


def piece(content):
    return struct.pack("<H", len(content)) + content


def png(shade):
    """One grey pixel."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(bytes([0, shade])))
            + chunk(b"IEND", b""))


def record_set(records):
    """.rec and .idx of (key, labels, image): one label in the header, two behind it (data/FORMATS.md)."""
    rec, idx = b"", b""
    for key, labels, image in records:
        flag = 0 if len(labels) == 1 else len(labels)
        payload = struct.pack("<IfQQ", flag, labels[0], key, 0) + (struct.pack(f"<{flag}f", *labels) if flag else b"") + image
        idx += b"%d\t%d\n" % (key, len(rec))
        rec += struct.pack("<II", 0xCED7230A, len(payload)) + payload + b"\0" * (-len(payload) % 4)
    return rec, idx


def put_checked_sets(put):
    """Sets for data_check: sound ones in both layouts, one with a copy and a conflict, lists of the images that the target writes."""
    insightface = [(1, [0, 1], png(1)), (2, [0, 1], png(2)), (3, [1, 1], png(3)), (4, [1, 1], png(4)), (0, [5, 7], b""), (5, [1, 3], b""),
                   (6, [3, 5], b"")]
    rec, idx = record_set(insightface)
    any_size, with_files, is_list = 4, 3, 8
    put("data_check", "insightface", bytes([any_size + with_files]) + piece(idx) + piece(b"2,112,112\n") + rec)
    put("data_check", "insightface_scanned", bytes([any_size]) + piece(b"") + piece(b"") + rec)
    rec, idx = record_set([(0, [0], png(1)), (1, [0], png(1)), (2, [1], png(3)), (3, [2], png(3)), (4, [1], png(5))])
    put("data_check", "copies", bytes([any_size + 1]) + piece(idx) + piece(b"") + rec)
    put("data_check", "list", bytes([any_size + is_list]) + piece(b"") + piece(b"") + b"0\t0\ta\n1\t1\tb\n2\t1\tc\n3\t2\tgone\n")
    put("data_check", "insightface_list", bytes([any_size + is_list]) + piece(b"") + piece(b"") + b"1\ta\t0\n1\tb\t1\n")


def put_weights_of_others(put):
    """A checkpoint with classes of others and one of before PyTorch 1.6; needs torch."""
    try:
        import torch
    except ImportError:
        print("no torch: the committed seeds pth/lightning and pth/old stay")
        return
    entries = {"net.weight": torch.ones(2, 3), "net.bias": torch.zeros(2)}
    checkpoint = {"epoch": 2**70, "state_dict": entries, "hyper_parameters": argparse.Namespace(a=1), "names": {"x"},
                  "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}]}
    for name, modern in (("lightning", True), ("old", False)):
        content = io.BytesIO()
        torch.save(checkpoint, content, _use_new_zipfile_serialization=modern)
        put("pth", name, content.getvalue())


def main():
    data, training, pruning, corpus = map(pathlib.Path, sys.argv[1:])

    def put(target, name, content):
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    rec, idx = (data / "train.rec").read_bytes(), (data / "train.idx").read_bytes()
    properties = (data / "property").read_bytes()
    put("records", "indexed", b"\3" + piece(idx) + piece(properties) + rec)
    put("records", "scanned", b"\0" + piece(b"") + piece(b"") + rec)
    flat = struct.pack("<IIIfQQ", 0xCED7230A, 28, 0, 0.0, 0, 0) + b"\xff\xd8\xff\xd9"
    put("records", "small", b"\0" + piece(b"") + piece(b"") + flat)

    put("data_check", "faces", b"\3" + piece(idx) + piece(properties) + rec)
    put_checked_sets(put)

    for protocol in (0, 1, 2, 3, 4, 5):
        put("verification_bin", f"protocol{protocol}", pickle.dumps(([b"\xff\xd8\xff\xd9"] * 4, [True, False]), protocol=protocol))
    newest = sorted((training / "checkpoints").glob("step_*"))[-1]
    put("pth", "head", next(newest.glob("head.*")).read_bytes())
    put_weights_of_others(put)
    put("pth", "dynamics", next(newest.glob("dynamics.*")).read_bytes())

    header = (b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},'
              b'"b":{"dtype":"I64","shape":[],"data_offsets":[8,16]},"c":{"dtype":"BOOL","shape":[0],"data_offsets":[16,16]}}')
    put("safetensors", "whole", b"\0" + struct.pack("<Q", len(header)) + header + bytes(16))
    put("safetensors", "header", b"\1" + header + bytes(16))

    put("hdf5", "scores", b"\0" + (training / "scores.h5").read_bytes())
    put("hdf5", "history", b"\3" + (training / "dynamics.h5").read_bytes())
    put("hdf5", "dynamics", b"\1" + (training / "dynamics.h5").read_bytes())
    put("hdf5", "index_set", b"\2" + (pruning / "index_set.h5").read_bytes())

    put("config", "job", (training / "config.yaml").read_bytes())
    put("config", "nested", b"train: {lr: 0.1, milestones: [1, 2]}\nmodel: &m {backbone: tiny}\nrun: *m\n? [a]\n: b\n")
    manifest = (newest / "manifest.json").read_bytes()
    put("manifest", "right", b"\1" + manifest)
    put("manifest", "huge_number", b"\1" + json.dumps({**json.loads(manifest), "format_version": 8.88889e110}).encode())

    any_list, auto = b"\0", bytes([15])
    lists = {"kept_index": b"kept_index = [0, 3, 7]\n", "dropped": b"dropped_index = [1]\n", "comma": b"1,2,5", "lines": b"0\n4\n5\n",
             "names": b"a/1.jpg\nb/2.jpg\n", "ms_celeb": b"a 1.jpg 1\n", "cvlface": b"0\t1\n"}
    for name, content in lists.items():
        put("lists", name, any_list + auto + b"\1" + content)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (8,), }"
    npy = b"\x93NUMPY\1\0" + struct.pack("<H", len(header) + 1) + header + b"\n" + struct.pack("<8d", *[0.1 * i for i in range(8)])
    put("lists", "npy_scores", b"\2\0\1" + npy)
    mask = npy.replace(b"'<f8'", b"'|b1'")[: -64] + bytes([1, 0, 1, 1, 0, 0, 1, 1])
    put("lists", "npy_mask", any_list + auto + b"\1" + mask)
    put("lists", "text_scores", b"\2\0\1" + b"\n".join(b"0.5" for _ in range(8)))
    put("lists", "csv", b"\3\0\1" + b"index,label,probability\n" + b"".join(b"%d,%d,0.25\n" % (i, (0, 0, 0, 1, 1, 2, 2, 2)[i]) for i in range(8)))
    put("lists", "label_map", b"\5\0\0" + b"{0: 0, 2: 1}\n")
    put("lists", "label_map_pickle", b"\5\0\0" + pickle.dumps({0: 0, 2: 1}, 2))
    put("lists", "label_dict", b"\6\0\0" + pickle.dumps({0: [0, 2], 1: 1}, 4))
    put("lists", "labels", b"\1\0\0" + b"0\n0\n1\n2\n")
    put("lists", "epochs", b"\4\0\0" + b"0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8\n" * 3)


if __name__ == "__main__":
    main()
