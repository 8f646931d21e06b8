#!/usr/bin/env python3
"""Makes transformers.json, transformers.h5 and transformer_steps.h5 with the vision transformers of tests/model/pytorch_backbones.py.

    make_transformers.py --out DIR          (Python with torch and h5py)

Those classes are an independent re-implementation. They were compared once with the published ones, with weights exchanged both ways under
strict=True: embeddings and gradients are bit-equal. README.md describes the files.
"""
import argparse
import json
import pathlib
import sys

import h5py
import numpy
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "model"))
from pytorch_backbones import VisionTransformer  # noqa: E402

MASK = (1 << 64) - 1
FACES, OUTPUT_WEIGHTS, LABELS, KERNEL = 1000000, 1000001, 1000100, 1000200


def splitmix64(x):
    with numpy.errstate(over="ignore"):
        z = numpy.asarray(x, dtype=numpy.uint64) + numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


def uniform(seed, stream, count):
    base = splitmix64((int(splitmix64(seed)) + stream) & MASK)
    with numpy.errstate(over="ignore"):
        bits = splitmix64(base + numpy.arange(count, dtype=numpy.uint64))
    return (bits >> numpy.uint64(40)).astype(numpy.float64) * 2.0**-24


def hashed(seed, stream, shape):
    return torch.from_numpy((2 * uniform(seed, stream, int(numpy.prod(shape))) - 1).astype(numpy.float32)).view(shape)


def fill(network, seed):
    for k, (name, tensor) in enumerate(network.state_dict().items()):
        u = uniform(seed, k, tensor.numel())
        if name.endswith("num_batches_tracked"):
            values = numpy.zeros(tensor.numel())
        elif name.endswith(("running_mean", "bias")):
            values = (u - 0.5) * 0.125
        elif name.endswith("running_var") or tensor.dim() < 2:
            values = 0.75 + 0.5 * u
        else:
            values = (u - 0.5) * 2 * numpy.sqrt(3.0 / (tensor.numel() // tensor.shape[0]))
        tensor.copy_(torch.from_numpy(values.astype(numpy.float32)).view(tensor.shape))
    return network


def make(name, seed, dtype, embedding=512):
    network = fill(VisionTransformer(name, drop_path=0, mask_ratio=0, embedding=embedding), seed)
    for parameter in network.parameters():
        if parameter is getattr(network, "mask_token", None):
            parameter.requires_grad_(False)
    return network.to(dtype)


def macs(name):
    """Multiply-adds of one image by hand: patches, the maps and attention products of the blocks, the two maps of the features."""
    width, depth, _, hidden, patch, *_ = VisionTransformer.SHAPES[name]
    tokens = (112 // patch) ** 2
    block = tokens * (4 * width * width + 2 * width * hidden) + 2 * tokens * tokens * width
    return tokens * 3 * patch * patch * width + depth * block + tokens * width * width + width * 512


def manifest(names):
    networks = {}
    for name in names:
        published = VisionTransformer(name)
        trained = {key for key, _ in published.named_parameters()} - ({"mask_token"} if published.masked == 0 else set())
        own = dict(published.named_parameters())
        entries = []
        for k, (key, tensor) in enumerate(published.state_dict().items()):
            entry = {"k": k, "name": key, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
                     "kind": "parameter" if key in own else "buffer"}
            entries.append(entry if key in trained or key not in own else {**entry, "requires_grad": False})
        networks[name] = {"parameters": sum(p.numel() for p in own.values()),
                          "trainable_parameters": sum(own[key].numel() for key in trained), "macs_conv_linear": macs(name),
                          "entries": entries}
    return networks


def sums(tensors):
    return [t.double().sum().item() for t in tensors], [t.double().norm().item() for t in tensors]


def write(group, name, values, suffix):
    values = numpy.asarray(values)
    if values.dtype.kind == "i":
        if not suffix:
            group[name] = values.astype(numpy.int64)
        return
    group[name + suffix] = values


def run_points(group, name, seed, batch, dtype, suffix):
    network = make(name, seed, dtype)
    faces = hashed(seed, FACES, (batch, 3, 112, 112)).to(dtype)
    weights = hashed(seed, OUTPUT_WEIGHTS, (batch, 512)).to(dtype)
    with torch.no_grad():
        write(group, "eval_embedding", network.eval()(faces), suffix)
    embedding = network.train()(faces)
    write(group, "train_embedding", embedding.detach(), suffix)
    (embedding * weights).sum().backward()
    entries = list(network.state_dict(keep_vars=True).items())
    trained = [k for k, (_, tensor) in enumerate(entries) if tensor.grad is not None]
    running = [k for k, (key, _) in enumerate(entries) if key.endswith(("running_mean", "running_var"))]
    for kind, ks, tensors in (("grad", trained, [entries[k][1].grad for k in trained]),
                              ("running", running, [entries[k][1].detach() for k in running])):
        write(group, kind + "_k", numpy.array(ks), suffix)
        for leaf, values in zip(("_sum", "_l2"), sums(tensors)):
            write(group, kind + leaf, values, suffix)
    with torch.no_grad():
        write(group, "eval_embedding_after", network.eval()(faces), suffix)


def cosines(network, kernel, faces):
    return F.normalize(network(faces)) @ F.normalize(kernel, dim=0)


def cosface(cosine, labels, scale, margin):
    return scale * (cosine - margin * F.one_hot(labels, cosine.shape[1]).to(cosine.dtype))


def of_label(logits, labels):
    return torch.softmax(logits, 1).gather(1, labels[:, None])[:, 0]


def run_steps(group, root, rates, dtype, suffix):
    seed, batch, classes, steps, dim = (int(root[key]) for key in ("seed", "batch", "classes", "steps", "dim"))
    scale, margin = root["s"], root["m"]
    network = make("vit_nano", seed, dtype, dim)
    kernel = torch.nn.Parameter((hashed(seed, KERNEL, (dim, classes)) / 64).to(dtype))
    faces = [hashed(seed, FACES + t, (batch, 3, 112, 112)) for t in range(steps)]
    labels = [torch.from_numpy((uniform(seed, LABELS + t, batch) * classes).astype(numpy.int64)) for t in range(steps)]
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([*trained, kernel], lr=rates["lr"], weight_decay=rates["weight_decay"], eps=rates["epsilon"])
    found = {key: [] for key in ("loss", "grad_norm", "head_grad_norm", "train_prob")}
    network.train()
    for step in range(steps):
        logits = cosface(cosines(network, kernel, faces[step].to(dtype)), labels[step], scale, margin)
        loss = F.cross_entropy(logits, labels[step])
        optimizer.zero_grad()
        loss.backward()
        found["loss"].append(loss.item())
        found["grad_norm"].append(torch.nn.utils.clip_grad_norm_(trained, 5).item())
        found["head_grad_norm"].append(kernel.grad.norm().item())
        found["train_prob"].append(of_label(logits.detach(), labels[step]).tolist())
        optimizer.step()
    for key, values in found.items():
        write(group, key, numpy.array(values, dtype=numpy.float64), suffix)
    state = [(k, tensor) for k, tensor in enumerate(network.state_dict().values()) if tensor.is_floating_point()]
    write(group, "state_k", numpy.array([k for k, _ in state]), suffix)
    write(group, "state_l2", sums([tensor for _, tensor in state])[1], suffix)
    write(group, "kernel", kernel.detach(), suffix)
    network.eval()
    with torch.no_grad():
        cosine = torch.cat([cosines(network, kernel, x.to(dtype)) for x in faces])
        write(group, "eval_embedding", network(faces[0].to(dtype)), suffix)
    label = torch.cat(labels)
    write(group, "label", label, suffix)
    if not suffix:
        write(group, "image_sum", [x.double().sum().item() for x in faces], "")
    write(group, "prob_margin", of_label(cosface(cosine, label, scale, margin), label), suffix)
    write(group, "prob_no_margin", of_label(scale * cosine, label), suffix)
    write(group, "predicted", cosine.argmax(1), suffix)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    (out / "transformers.json").write_text(json.dumps(manifest(["vit_nano", "vit_t", "cvlface_vit_s"]), separators=(",", ":")) + "\n")
    precisions = ((torch.float32, ""), (torch.float64, "_f64"))
    with h5py.File(out / "transformers.h5", "w") as file:
        file.attrs.update(seed=21, batch=4)
        for dtype, suffix in precisions:
            run_points(file.require_group("vit_nano"), "vit_nano", 21, 4, dtype, suffix)
    root = {"seed": 31, "batch": 8, "classes": 20, "steps": 4, "dim": 64, "s": 64.0, "m": 0.4}
    with h5py.File(out / "transformer_steps.h5", "w") as file:
        file.attrs.update(root)
        file.attrs["model"], file.attrs["head"], file.attrs["optimizer"] = (numpy.bytes_(t) for t in ("vit_nano", "CosFace", "adamw"))
        for name, rates in (("run0", {"lr": 1e-3, "weight_decay": 0.1, "epsilon": 1e-5}),
                            ("run1", {"lr": 1e-3, "weight_decay": 0.1, "epsilon": 1e-3})):
            for dtype, suffix in precisions:
                run_steps(file.require_group(name), root, rates, dtype, suffix)
            file[name].attrs.update(rates)


if __name__ == "__main__":
    main()
