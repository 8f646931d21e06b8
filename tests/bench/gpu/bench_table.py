#!/usr/bin/env python3
"""Markdown table of JSON lines of the GPU benchmarks and their peers: ours, eager PyTorch, ratios.

    bench_table.py FILE.jsonl...
Each line of ours stands beside the eager lines of the same case, NCHW and, where it ran, NHWC: those of the same precision, else fp16, else
the first. A case that one side could not do (memory) has a dash there. Memory is the peak of allocated MiB, the peer's that of NCHW.
"""
import json
import sys

CASE = ("bench", "network", "batch", "classes", "sample_rate", "images")
PRECISION_OF_PEER = "fp16"


def read(paths):
    cases = {}
    for path in paths:
        with open(path) as file:
            for line in filter(None, map(str.strip, file)):
                if not line.startswith("{"):
                    continue  # a program's own messages
                run = json.loads(line)
                sides = cases.setdefault(tuple(run.get(key) for key in CASE), {"ours": [], "eager": []})
                sides[run["side"]].append(run)
    return cases


def peer_of(run, eager, layout="NCHW"):
    eager = [other for other in eager if other.get("layout", "NCHW") == layout]
    for precision in (run["precision"], PRECISION_OF_PEER):
        for other in eager:
            if other["precision"] == precision:
                return other
    return eager[0] if eager else None


def name_of(case):
    bench, network, batch, classes, rate, images = case
    words = [bench, network, f"batch {batch}", f"C {classes:,}"]
    if rate is not None and rate != 1:
        words.append(f"sampled {rate:g}")
    if images == "jpeg":
        words.append("JPEG")
    return ", ".join(word for word in words if word)


def number(run, key, form):
    return "-" if run is None or run.get(key) is None else format(run[key], form)


def ratio(ours, eager, key):
    if ours is None or eager is None or not ours.get(key) or not eager.get(key):
        return "-"
    return f"{ours[key] / eager[key]:.2f}"


def peers_of(run, eager):
    return peer_of(run, eager), peer_of(run, eager, "NHWC")


def rows(cases):
    for case, sides in cases.items():
        if not sides["ours"]:
            yield case, None, *peers_of({"precision": PRECISION_OF_PEER}, sides["eager"])
        for run in sides["ours"]:
            yield case, run, *peers_of(run, sides["eager"])


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    print("| case | precision | ours img/s | eager img/s | ratio | NHWC eager img/s | ratio | ours MiB | eager MiB | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case, ours, eager, eager_nhwc in rows(read(sys.argv[1:])):
        precisions = [run["precision"] for run in (ours, eager) if run is not None]
        kernels = "".join(f" + {name}" for name in (ours or {}).get("untried_kernels", []))
        cells = [name_of(case) + kernels, " / ".join(dict.fromkeys(precisions))]
        speed, memory = "images_per_second", "peak_mib"
        cells += [number(ours, speed, ".1f"), number(eager, speed, ".1f"), ratio(ours, eager, speed)]
        cells += [number(eager_nhwc, speed, ".1f"), ratio(ours, eager_nhwc, speed)]
        cells += [number(ours, memory, ".0f"), number(eager, memory, ".0f"), ratio(ours, eager, memory)]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
