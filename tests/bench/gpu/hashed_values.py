"""Inputs of the benchmarks as a function of (key, element) alone: the numbers of hashed_values.h."""
import math

import torch

CENTRES, IMAGES, LABELS, EMBEDDINGS, NETWORK = 1, 10, 20, 30, 1000
MASK = 0xFFFFFFFF
PIECE = 1 << 24


def mixed(x):
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & MASK
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & MASK
    return x ^ (x >> 16)


def bits(key, first, count, device):
    elements = torch.arange(first, first + count, dtype=torch.int64, device=device)
    return mixed((mixed(elements) + (key * 0x9E3779B1 & MASK)) & MASK)


@torch.no_grad()
def fill(values, key, width, centre=0):
    flat = values.view(-1)
    for first in range(0, flat.numel(), PIECE):
        count = min(PIECE, flat.numel() - first)
        part = (bits(key, first, count, values.device) >> 8).to(torch.float32)
        flat[first:first + count] = part.mul_(2.0**-23).sub_(1).mul_(width).add_(centre)
    return values


def images(batch, rows, device):
    return (bits(IMAGES + batch, 0, rows * 112 * 112 * 3, device) >> 24).to(torch.uint8).view(rows, 112, 112, 3)


def labels(batch, rows, classes, device):
    return bits(LABELS + batch, 0, rows, device) % classes


def fill_centres(weight):
    return fill(weight, CENTRES, 0.01 * math.sqrt(3.0))


@torch.no_grad()
def fill_network(network):
    for i, (name, tensor) in enumerate(network.state_dict().items()):
        key = NETWORK + i
        if tensor.dim() > 1:
            tensor.copy_(fill(torch.empty(tensor.shape, device=tensor.device), key, math.sqrt(3.0 * tensor.size(0) / tensor.numel())))
        elif name.endswith("prelu.weight"):
            fill(tensor, key, 0.1, 0.25)
        elif name.endswith(("bias", "running_mean")):
            fill(tensor, key, 0.1)
        elif name.endswith(("bn3.weight", "project.bn.weight")):
            fill(tensor, key, 0.04, 0.2)
        elif tensor.is_floating_point() and tensor.dim() == 1:
            fill(tensor, key, 0.2, 1)
