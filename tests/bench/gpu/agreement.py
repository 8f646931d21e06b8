#!/usr/bin/env python3
"""The benchmarks of this folder and their peers do the same work: with tiny sizes on the CPU, in float32, losses and probabilities agree.

    agreement.py FOLDER      that of train_bench, gpu_head_bench and gpu_score_bench
Speeds are printed and decide nothing. Prints DIFFPROB_TEST_SKIPPED_ENTIRELY where there is no torch.
"""
import importlib
import json
import pathlib
import subprocess
import sys

THREADS = 1
NETWORK = "mobilefacenet"
# program, its arguments, peer, its arguments, largest relative difference of each key
CASES = [
    ("gpu_head_bench", ["--train.batch_size=16", "--classes=600", "--steps=3", "--warmup=0"],
     "peer_head", ["--batch", "16", "--classes", "600", "--steps", "3", "--warmup", "0"], {"first_loss": 1e-5, "loss": 1e-5}),
    # Sampled, but a share that is rounded up to all classes: both sides gather, update and write back the same rows.
    ("gpu_head_bench", ["--train.batch_size=16", "--classes=12", "--model.sample_rate=0.95", "--steps=3", "--warmup=0"],
     "peer_head", ["--batch", "16", "--classes", "12", "--sample-rate", "0.95", "--steps", "3", "--warmup", "0"],
     {"first_loss": 1e-5, "loss": 1e-4}),
    ("gpu_score_bench", [f"--model.backbone={NETWORK}", "--score.batch_per_rank=2", "--classes=600", "--steps=1", "--warmup=0"],
     "peer_gpu_score", ["--network", NETWORK, "--batch", "2", "--classes", "600", "--steps", "1", "--warmup", "0"],
     {"first_log_probability": 1e-4}),
    ("train_bench", [f"--model.backbone={NETWORK}", "--train.batch_size=4", "--classes=600", "--steps=1", "--warmup=0"],
     "peer_train", ["--network", NETWORK, "--batch", "4", "--classes", "600", "--steps", "1", "--warmup", "0"],
     {"first_loss": 1e-4, "loss": 2e-3}),
]


def ours(program, arguments):
    command = [program, "--device=cpu", f"--threads={THREADS}", *arguments]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=200)
    if found.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {found.returncode}")
    return json.loads(found.stdout.splitlines()[-1])


def peer(name, arguments):
    module = importlib.import_module(name)
    return json.loads(json.dumps(module.measure(module.parse(["--device", "cpu", *arguments]))))


def main():
    try:
        import torch
    except ImportError:
        print(f"DIFFPROB_TEST_SKIPPED_ENTIRELY: {sys.executable} has no torch (DIFFPROB_PYTHON)")
        return 0
    torch.set_num_threads(THREADS)
    folder = pathlib.Path(sys.argv[1])
    failures = 0
    for program, own_arguments, module, peer_arguments, tolerances in CASES:
        sides = ours(folder / program, own_arguments), peer(module, peer_arguments)
        same_case = all(sides[0][key] == sides[1][key] for key in ("bench", "device", "batch", "classes", "precision"))
        if not same_case:
            print(f"FAILED: {program} and {module} ran different cases: {sides}")
        failures += not same_case
        for key, tolerance in tolerances.items():
            one, other = sides[0][key], sides[1][key]
            difference = abs(one - other) / max(abs(other), 1e-9)
            good = difference <= tolerance  # false for NaN
            failures += not good
            print(f"{'ok' if good else 'FAILED'}: {program} {key} {one:.7g}, {module} {other:.7g}: relative difference {difference:.2g}, "
                  f"at most {tolerance:g}; {sides[0]['step_ms']:.1f} and {sides[1]['step_ms']:.1f} ms")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
