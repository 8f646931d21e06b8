#!/usr/bin/env python3
"""Where the GPU's time goes in a trace of train_bench --trace=FILE: shares of a step by kind of kernel, and the longest kernels.

    kernel_shares.py FILE.json [--steps 3] [--top 25]
"""
import argparse
import collections
import json

KINDS = [("nccl", ("nccl",)), ("layout changes", ("nchwtonhwc", "nhwctonchw", "convertTensor")),
         ("batch norm + PReLU (own)", ("diffprob",)),
         ("batch norm", ("batch_norm", "bn_fw", "bn_bw", "batchnorm")), ("PReLU", ("prelu",)),
         ("convolutions", ("conv", "wgrad", "dgrad", "fprop", "xmma", "implicit", "sm90", "cudnn")),
         ("matrix products", ("gemm", "cublas", "nvjet", "cutlass")),
         ("optimiser", ("fusedsgd", "multi_tensor", "sgd")), ("softmax and reductions", ("reduce", "softmax")),
         ("copies", ("memcpy", "memset", "copy"))]


def kind_of(name):
    lower = name.lower()
    for kind, marks in KINDS:
        if any(mark.lower() in lower for mark in marks):
            return kind
    return "elementwise and others"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--top", type=int, default=25)
    args = parser.parse_args()
    with open(args.file) as file:
        events = json.load(file)["traceEvents"]
    kernels = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset") and "dur" in e]
    times, counts, kinds = collections.Counter(), collections.Counter(), collections.Counter()
    for event in kernels:
        times[event["name"]] += event["dur"]
        counts[event["name"]] += 1
        kinds[kind_of(event["name"])] += event["dur"]
    total = sum(times.values())
    print(f"{len(kernels) / args.steps:.0f} kernels and {total / args.steps / 1000:.2f} ms of them a step")
    for kind, time in kinds.most_common():
        print(f"{time / args.steps / 1000:9.3f} ms {100 * time / total:5.1f} %  {kind}")
    print("longest:")
    for name, time in times.most_common(args.top):
        print(f"{time / args.steps / 1000:9.3f} ms {counts[name] / args.steps:6.0f} x  {name[:150]}")


if __name__ == "__main__":
    main()
