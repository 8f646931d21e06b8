"""What a case does: each function makes the fault happen to a job, asserts how that job ends, and starts the same command again."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from job import Failure, Job, check_results


class Skipped(Exception):
    """What the machine lacks for a case."""


def assert_end(case, ended):
    codes = case.code if isinstance(case.code, tuple) else (case.code,)
    if ended.code not in codes:
        raise Failure(f"exit code {ended.code}, expected {' or '.join(map(str, codes))}")
    for text in case.says:
        if not re.search(text, ended.text):
            raise Failure(f"the output does not say: {text}")


def begin_from(bench, output, stages):
    """An output folder in which some stages of the unbroken run are done."""
    shutil.rmtree(output, ignore_errors=True)
    for stage in stages:
        shutil.copytree(bench.whole / stage, output / stage)
    output.mkdir(exist_ok=True)


def finish(bench, output, arguments=()):
    """The same command again, without the fault: done, and the unbroken run's results."""
    ended = bench.wait(bench.start(output, arguments), 120)
    if ended.code != 0:
        raise Failure(f"the resumed run ended with {ended.code}")
    check_results(output, bench.reference)
    return ended


def strike(bench, case, folder):
    output = folder / "out"
    begin_from(bench, output, case.done)
    ended = bench.wait(bench.start(output, case.arguments, case.fault, folder), case.limit)
    if not (folder / "fired").exists():
        raise Failure("the fault never struck: the point was not passed so often")
    assert_end(case, ended)
    finish(bench, output)
    return ended


@contextlib.contextmanager
def small_disk(folder, size):
    """A tmpfs of that size on folder/out."""
    output = folder / "out"
    output.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", output], stderr=subprocess.PIPE, text=True)
    if mounted.returncode != 0:
        raise Skipped("no tmpfs can be mounted: " + mounted.stderr.strip())
    try:
        yield output
    finally:
        subprocess.run(["umount", "-l", output], check=True)


def remount(output, options):
    subprocess.run(["mount", "-o", f"remount,{options}", output], check=True)


def full_disk(bench, case, folder):
    with small_disk(folder, case.detail[0]) as output:
        ended = bench.wait(bench.start(output), case.limit)
        assert_end(case, ended)
        remount(output, "size=64m")
        finish(bench, output)
    return ended


def read_only(bench, case, folder):
    with small_disk(folder, "64m") as output:
        remount(output, "ro")
        ended = bench.wait(bench.start(output), case.limit)
        assert_end(case, ended)
        remount(output, "rw")
        finish(bench, output)
    return ended


def damage(path, how):
    if how == "remove":
        return path.unlink()
    content = bytearray(path.read_bytes())
    if how == "truncate":
        content = content[:len(content) // 2]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damaged_checkpoint(bench, case, folder):
    file, how, *which = case.detail
    output = folder / "out"
    begin_from(bench, output, ())
    bench.wait(bench.start(output, (), "checkpoint_published:kill:0:2", folder), 60)  # the second has its name, the first is still there
    checkpoints = sorted((output / "train_original/checkpoints").glob("step_????????"))
    if len(checkpoints) != 2:
        raise Failure(f"the struck job left {len(checkpoints)} checkpoints, expected 2")
    for checkpoint in checkpoints if which else checkpoints[-1:]:
        damage(checkpoint / file, how)
    ended = finish(bench, output)
    assert_end(case, ended)
    return ended


def damaged_part(bench, case, folder):
    output = folder / "out"
    begin_from(bench, output, ("train_original",))
    bench.wait(bench.start(output, (), "score_part:kill:1:3", folder), 60)
    parts = sorted((output / "score/scores.parts").glob("part.*"))
    if len(parts) < 4:
        raise Failure("the struck job left fewer than two whole parts")
    damage(parts[1], case.detail[0])
    ended = finish(bench, output)
    assert_end(case, ended)
    return ended


def corrupt_jpeg(bench, case, folder):
    output, records = folder / "out", bench.data / "train.rec"
    begin_from(bench, output, ())
    offset = next(int(line.split()[1]) for line in (bench.data / "train.idx").read_text().splitlines() if line.split()[0] == "11")
    whole = records.read_bytes()
    try:
        with open(records, "r+b") as file:
            file.seek(offset + 32)
            file.write(b"x" * 12)
        ended = bench.wait(bench.start(output), case.limit)
    finally:
        records.write_bytes(whole)
    assert_end(case, ended)
    finish(bench, output)
    return ended


def wait_for(job, condition):
    """Until it holds; a job that ends before is a failure."""
    while not condition():
        if job.process.poll() is not None:
            raise Failure(f"the job ended too early, with {job.process.returncode}")
        time.sleep(0.02)


def second_job(bench, case, folder):
    """The first job is frozen while the second asks for its folder, then goes on to the end."""
    output = folder / "out"
    begin_from(bench, output, ())
    first = bench.start(output)
    wait_for(first, (output / "train_original").exists)
    ranks = first.ranks()
    for rank in ranks:
        os.kill(rank, signal.SIGSTOP)
    try:
        second = Job(bench.program, ["run", bench.config, f"--output={output}"], folder / "second.log")
        ended = bench.wait(second, case.limit)
    finally:
        for rank in ranks:
            os.kill(rank, signal.SIGCONT)
    assert_end(case, ended)
    if bench.wait(first, 120).code != 0:
        raise Failure("the first job failed")
    check_results(output, bench.reference)
    finish(bench, output)
    return ended


def link_down(bench, case, folder):
    """A rank on each of two virtual nodes; the cable of the second is pulled in the middle of training and put back for the resume."""
    kit = os.environ.get("DIFFPROB_CLUSTER_KIT", "")
    if not kit:
        raise Skipped("DIFFPROB_CLUSTER_KIT is not set")
    cluster = tempfile.mkdtemp(prefix="vcluster-faults.", dir="/srv")

    def control(script, *arguments):
        subprocess.run([f"{kit}/{script}", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**os.environ, "VCLUSTER_DIR": cluster})

    control("up.sh", "-n", "2", "-d", cluster)
    try:
        return cut_and_mend(bench, case, folder, kit, cluster, control)
    finally:
        control("down.sh", "-p", "-d", cluster)


def cut_and_mend(bench, case, folder, kit, cluster, control):
    output = folder / "out"
    begin_from(bench, output, ())
    launcher = [f"{kit}/mpirun.sh", "--host", "node1:1,node2:1", "-np", "2"]
    for name in ("OMP_NUM_THREADS", "DIFFPROB_FAULT", "DIFFPROB_FAULT_FOLDER"):
        launcher += ["-x", name]
    slow = {"DIFFPROB_FAULT": "forward:slow:0:1", "DIFFPROB_FAULT_FOLDER": str(folder), "VCLUSTER_DIR": cluster}
    command = ["run", bench.config, f"--output={output}", *case.arguments]
    job = Job(bench.faulty, command, bench.log, slow, launcher)
    wait_for(job, lambda: list(output.glob("train_original/checkpoints/step_????????/manifest.json")))
    control("node.sh", "node2", "link-down")
    ended = bench.wait(job, case.limit)
    assert_end(case, ended)
    control("node.sh", "node2", "link-up")
    unharmed = {"VCLUSTER_DIR": cluster, "DIFFPROB_FAULT": "", "DIFFPROB_FAULT_FOLDER": ""}
    again = bench.wait(Job(bench.program, command, bench.log, unharmed, launcher), 120)
    if again.code != 0:
        raise Failure(f"the resumed run ended with {again.code}")
    check_results(output, bench.reference)
    return ended
