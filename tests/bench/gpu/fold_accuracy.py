#!/usr/bin/env python3
"""What 16 bit cost a step of an IResNet with its first batch norms folded (train.untried_kernels=folded_norm), and without.

    fold_accuracy.py CHECKPOINT DATA [--rows 64]

CHECKPOINT: a folder of diffprob (backbone.pth, head.*.pth). DATA: a folder with train.rec and train.idx. Tensors that a GPU stores are
rounded as it would, in the forward and in the backward pass; products and sums are wider, as they are there. Prints a line of JSON for
each type: how far embeddings and gradients are from those of float64, whose two ways agree to rounding. Needs PyTorch and Pillow.
"""
import argparse
import io
import json
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F
from PIL import Image

EPS, MARGIN, SCALE = 1e-5, 0.4, 64
LOSS_SCALE = {torch.float16: 65536 / 256, torch.bfloat16: 1.0}  # a row's share of the first one


def read_faces(folder, rows):
    offsets = [int(line.split()[1]) for line in (folder / "train.idx").read_text().splitlines()]
    records = (folder / "train.rec").read_bytes()
    faces, labels = [], []
    for i in numpy.random.RandomState(1).permutation(len(offsets)):
        begin = offsets[i]
        length = struct.unpack("<I", records[begin + 4:begin + 8])[0] & ((1 << 29) - 1)
        flag, label = struct.unpack("<If", records[begin + 8:begin + 16])
        image = records[begin + 32 + 4 * flag:begin + 8 + length]
        if flag > 0:
            label = struct.unpack("<f", records[begin + 32:begin + 36])[0]
        if image[:2] != b"\xff\xd8":  # a list of an identity
            continue
        faces.append(numpy.asarray(Image.open(io.BytesIO(image)).convert("RGB")))
        labels.append(int(label))
        if len(faces) == rows:
            break
    pixels = torch.tensor(numpy.stack(faces)).permute(0, 3, 1, 2)
    return pixels.double() / 127.5 - 1, torch.tensor(labels)


def rounded(x, kind):
    return x if kind is None else x.to(kind).to(x.dtype)


class Stored(torch.autograd.Function):
    """Rounds what a GPU stores, and the gradient of it."""

    @staticmethod
    def forward(ctx, x, kind):
        ctx.kind = kind
        return rounded(x, kind)

    @staticmethod
    def backward(ctx, grad):
        return rounded(grad, ctx.kind), None


def channel(x):
    return x[None, :, None, None]


def outside(rows, columns):
    """[H, W, 3, 3]: 1 where a tap lies outside of the picture."""
    mask = torch.zeros(rows, columns, 3, 3, dtype=torch.double)
    mask[0, :, 0, :] = mask[-1, :, 2, :] = mask[:, 0, :, 0] = mask[:, -1, :, 2] = 1
    return mask


class FoldedNorm(torch.autograd.Function):
    """conv(BN(x)) without a constant a channel, as model/folded_norm/ops.h has it."""

    @staticmethod
    def forward(ctx, x, gamma, beta, weight, kind):
        mean = x.double().mean((0, 2, 3))
        inv_std = (x.double().var((0, 2, 3), unbiased=False) + EPS).rsqrt()
        scale = gamma.double() * inv_std
        shift = beta.double() - mean * scale
        folded = rounded((weight.double() * channel(scale)).to(x.dtype), kind)
        y = rounded(F.conv2d(x, folded, padding=1), kind)
        taps = (weight.double() * channel(shift)).sum(1)
        border = torch.einsum("krq,hwrq->khw", taps, outside(*x.shape[2:]))
        ctx.save_for_backward(x, gamma, weight, mean, inv_std, scale, shift)
        ctx.kind = kind
        return rounded((y.double() - border).to(x.dtype), kind)

    @staticmethod
    def backward(ctx, grad):
        x, gamma, weight, mean, inv_std, scale, shift = ctx.saved_tensors
        grad_a = rounded(torch.nn.grad.conv2d_input(x.shape, rounded(weight, ctx.kind), grad, padding=1), ctx.kind).double()
        with_x = rounded(torch.nn.grad.conv2d_weight(x, weight.shape, grad, padding=1), ctx.kind).double()
        inside = -torch.einsum("khw,hwrq->krq", grad.double().sum(0), outside(*x.shape[2:]))[:, None]
        grad_weight = channel(scale) * with_x + channel(shift) * inside
        total = (weight.double() * inside).sum((0, 2, 3))
        product = (weight.double() * with_x).sum((0, 2, 3)) - mean * total
        count = x.numel() / x.shape[1]
        away = x.double() - channel(mean)
        grad_x = grad_a * channel(scale) - channel(scale * total / count) - away * channel(scale * inv_std**2 * product / count)
        return (rounded(grad_x.to(x.dtype), ctx.kind), (product * inv_std).to(gamma.dtype), total.to(gamma.dtype),
                grad_weight.to(weight.dtype), None)


class Network:
    def __init__(self, entries, wide, kind, folded):
        self.entries = {name: tensor.to(wide).clone() for name, tensor in entries.items()}
        self.trained = [n for n in entries if n.endswith(("weight", "bias")) and n != "features.weight"]
        for name in self.trained:
            self.entries[name].requires_grad_()
        self.kind, self.folded = kind, folded

    def store(self, x):
        return Stored.apply(x, self.kind)

    def norm(self, x, name):
        scale = self.entries[name + ".weight"] * (x.var((0, 2, 3), unbiased=False) + EPS).rsqrt()
        return (x - channel(x.mean((0, 2, 3)))) * channel(scale) + channel(self.entries[name + ".bias"])

    def prelu(self, x, name):
        return torch.where(x > 0, x, x * channel(self.entries[name + ".weight"]))

    def convolution(self, x, name, **options):
        return self.store(F.conv2d(x, self.store(self.entries[name]), **options))

    def block(self, x, name, stride):
        if self.folded:
            norm = (self.entries[name + "bn1." + part] for part in ("weight", "bias"))
            y = FoldedNorm.apply(x, *norm, self.entries[name + "conv1.weight"], self.kind)
        else:
            y = self.convolution(self.store(self.norm(x, name + "bn1")), name + "conv1.weight", padding=1)
        y = self.store(self.prelu(self.norm(y, name + "bn2"), name + "prelu"))
        y = self.convolution(y, name + "conv2.weight", padding=1, stride=stride)
        if name + "downsample.0.weight" in self.entries:
            x = self.convolution(x, name + "downsample.0.weight", stride=stride)
            x = self.store(self.norm(x, name + "downsample.1"))
        return self.store(self.norm(y, name + "bn3") + x)

    def forward(self, faces):
        stride = 2 if self.entries["conv1.weight"].shape[0] == 16 else 1  # tiny, else IResNet
        x = self.convolution(self.store(faces), "conv1.weight", padding=1, stride=stride)
        x = self.store(self.prelu(self.norm(x, "bn1"), "prelu"))
        for stage in range(1, 5):
            number = 0
            while f"layer{stage}.{number}.conv1.weight" in self.entries:
                x = self.block(x, f"layer{stage}.{number}.", 2 if number == 0 else 1)
                number += 1
        x = self.store(self.norm(x, "bn2")).flatten(1)
        x = self.store(F.linear(x, self.store(self.entries["fc.weight"]), self.entries["fc.bias"]))
        x = (x - x.mean(0)) * (x.var(0, unbiased=False) + EPS).rsqrt()
        return x * self.entries["features.weight"] + self.entries["features.bias"]


def step(entries, centres, batch, kind, folded):
    """Embeddings and gradients of one step with CosFace, in float64; kind None: all in float64."""
    faces, labels = batch
    net = Network(entries, torch.double if kind is None else torch.float, kind, folded)
    embeddings = net.forward(faces.to(net.entries["conv1.weight"].dtype))
    cosines = F.normalize(embeddings.double()) @ F.normalize(centres.double()).t()
    logits = SCALE * (cosines - MARGIN * F.one_hot(labels, len(centres)))
    scale = 1.0 if kind is None else LOSS_SCALE[kind] * len(labels)
    (F.cross_entropy(logits, labels) * scale).backward()
    return embeddings.detach().double(), {name: net.entries[name].grad.double() / scale for name in net.trained}


def errors(found, wanted):
    embeddings, gradients = found
    largest = max(g.norm() for g in wanted[1].values())
    each = sorted(float((gradients[n] - g).norm() / g.norm()) for n, g in wanted[1].items() if g.norm() > 1e-4 * largest)
    whole = sum(float((gradients[n] - g).square().sum()) for n, g in wanted[1].items())
    total = sum(float(g.square().sum()) for g in wanted[1].values())
    return {"embedding_cosine_off": float(1 - F.cosine_similarity(embeddings, wanted[0]).min()), "gradient": (whole / total)**0.5,
            "gradient_median_parameter": each[len(each) // 2], "gradient_worst_parameter": each[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    load = lambda path: torch.load(path, map_location="cpu", weights_only=True)
    entries = {name: t for name, t in load(options.checkpoint / "backbone.pth").items() if t.is_floating_point()}
    centres = torch.cat([load(path)["weight"] for path in sorted(options.checkpoint.glob("head.*.pth"))])
    batch = read_faces(options.data, options.rows)
    wanted = step(entries, centres, batch, None, False)
    print(json.dumps({"type": "float64", "folded": True} | errors(step(entries, centres, batch, None, True), wanted)))
    for kind in LOSS_SCALE:
        for folded in (False, True):
            found = errors(step(entries, centres, batch, kind, folded), wanted)
            print(json.dumps({"type": str(kind).removeprefix("torch."), "folded": folded} | found))


main()
