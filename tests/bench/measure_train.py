#!/usr/bin/env python3
"""Speed and peak memory of `diffprob train` over a few steps, measured from outside.

    measure_train.py PROGRAM --data FOLDER --network NAME [--batch 32] [--warmup 4] [--steps 12] [--ranks 2] [-- --key=value ...]

Runs the program under mpirun with one thread a rank, follows its metrics.jsonl, looks at the processes right after the last measured step, and
ends the run there. Prints one line of JSON as peer_train.py does. Arguments after -- go to the program.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
CONFIG = """output: {folder}/run
seed: 1
data: {{train: {data}, decode_threads: 1}}
model: {{backbone: {network}, embedding_dim: 512, dropout: 0, loss: cosface, scale: 64, margin: 0.35}}
train: {{epochs: 1000, batch_size: {batch}, lr: 0.01, lr_reference_batch: 0, milestones: [], momentum: 0.9, weight_decay: 5e-4,
        clip_grad_norm: 5, log_every: {log_every}, eval_every_epochs: 0}}
eval: {{sets: []}}
"""


def descendants(pid):
    found = []
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(child)]
    return found


def ranks_of(launcher, program):
    """Processes of the program, by their executable; a rank that is gone is not one."""
    ranks = []
    for pid in descendants(launcher.pid):
        try:
            if os.path.samefile(f"/proc/{pid}/exe", program):
                ranks.append(pid)
        except OSError:
            continue
    return ranks


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def train_lines(path):
    """Whole lines of metrics.jsonl about training."""
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if line.get("kind") == "train"]


def wait_for_line(launcher, metrics, step, log):
    while True:
        lines = [line for line in train_lines(metrics) if line["step"] >= step]
        if lines:
            return time.perf_counter(), lines[-1]
        if launcher.poll() is not None:
            sys.exit(f"the program ended with {launcher.returncode} before step {step}:\n{log.read_text()[-4000:]}")
        time.sleep(0.01)


def measure(args, folder):
    metrics, log, config = folder / "run" / "metrics.jsonl", folder / "log.txt", folder / "config.yaml"
    config.write_text(CONFIG.format(folder=folder, data=args.data.resolve(), network=args.network, batch=args.batch * args.ranks,
                                    log_every=args.warmup))
    command = ["mpirun", "-np", str(args.ranks), "--oversubscribe", "--bind-to", "none", args.program, "train", str(config), *args.extra]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    with open(log, "w") as out:
        launcher = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        start, _ = wait_for_line(launcher, metrics, args.warmup, log)
        ranks = ranks_of(launcher, args.program)
        before = {pid: cpu_seconds(pid) for pid in ranks}
        end, line = wait_for_line(launcher, metrics, args.warmup + args.steps, log)
        images = (line["step"] - args.warmup) * args.batch * args.ranks
        return {"images_per_second": images / (end - start),
                "images_per_cpu_second": images / sum(cpu_seconds(pid) - before[pid] for pid in ranks),
                "peak_mib": max(map(peak_mib, ranks)), "loss": line["loss"]}
    finally:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--network", default="iresnet18")
    parser.add_argument("--batch", type=int, default=32, help="images per rank")
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12, help="a multiple of warmup")
    parser.add_argument("--ranks", type=int, default=2)
    own = sys.argv[1:]
    cut = own.index("--") if "--" in own else len(own)
    args = parser.parse_args(own[:cut])
    args.extra = own[cut + 1:]
    if args.steps % args.warmup != 0:
        parser.error("--steps must be a multiple of --warmup: the program logs every so many steps")
    with tempfile.TemporaryDirectory(prefix="measure_train.") as folder:
        print(json.dumps(measure(args, pathlib.Path(folder))))


if __name__ == "__main__":
    main()
