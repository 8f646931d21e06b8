"""Jobs of the fault matrix: one small pipeline on two ranks, its processes and its results."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

RANKS = 2
USUAL_SECONDS = 10  # of the unbroken run, at most, on two idle cores
CONFIG = """\
seed: 3
device: cpu
threads: 1
data: {{train: {data}, decode_threads: 1}}
model: {{backbone: tiny, embedding_dim: 16, dropout: 0.2, scale: 32, margin: 0.1}}
train: {{epochs: 2, batch_size: 16, lr: 0.05, lr_reference_batch: 0, milestones: [1], log_every: 1, checkpoint_every: 2, record: true}}
eval: {{sets: [{data}/synthetic_verification.bin]}}
score: {{batch_per_rank: 8, part_samples: 16}}
"""
SYNTHETIC = ["--synthetic.identities=8", "--synthetic.images_per_identity=8", "--synthetic.verification_pairs=20",
             "--synthetic.verification_identities=4", "--seed=3"]
MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1"}


class Failure(Exception):
    """A case that does not go as asserted."""


class Ended:
    """How a job ended."""

    def __init__(self, code, seconds, text):
        self.code, self.seconds, self.text = code, seconds, text


class Job:
    """mpirun with the ranks of one run of the program; its output goes to a file."""

    def __init__(self, program, arguments, log, environment=None, launcher=None):
        self.log = pathlib.Path(log)
        self.started = time.monotonic()
        self.is_local = launcher is None
        launcher = launcher or ["mpirun", "-np", str(RANKS), "--oversubscribe", "--bind-to", "none"]
        with open(self.log, "ab") as out:
            self.begin = out.tell()
            self.process = subprocess.Popen([*launcher, str(program), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env={**os.environ, **MPI, **(environment or {})}, start_new_session=True)

    def ranks(self):
        """Process ids of the ranks on this machine, ascending."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return sorted(map(int, children.read_text().split())) if self.is_local and children.exists() else []

    def text(self):
        with open(self.log, "rb") as log:
            log.seek(self.begin)
            return log.read().decode(errors="replace")

    def wait(self, limit):
        """Ended within the limit, with all its ranks."""
        ranks = self.ranks()
        deadline = self.started + limit
        try:
            code = self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"did not end in {limit:.0f} s") from None
        seconds = time.monotonic() - self.started
        while any(os.path.exists(f"/proc/{rank}") for rank in ranks):
            if time.monotonic() > max(deadline, self.started + seconds + 10):
                self.kill()
                raise Failure("a rank outlived mpirun")
            time.sleep(0.05)
        return Ended(code if code >= 0 else 128 - code, seconds, self.text())

    def kill(self):
        for pid in [*self.ranks(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


class Bench:
    """The data set, the unbroken run, and a folder for each case."""

    def __init__(self, program, faulty_program, work):
        self.program, self.faulty, self.work = program, faulty_program, pathlib.Path(work)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.log = self.work / "log"
        self.data = self.work / "data"
        subprocess.run([program, "data", "synth", self.data, *SYNTHETIC], check=True, stdout=subprocess.DEVNULL)
        self.config = self.work / "config.yaml"
        self.config.write_text(CONFIG.format(data=self.data))
        self.whole = self.work / "whole"
        ended = self.start(self.whole).wait(300)
        if ended.code != 0:
            raise Failure(f"the unbroken run ended with {ended.code}:\n{ended.text}")
        self.reference = results(self.whole)
        self.seconds = ended.seconds
        self.stretch = max(1.0, self.seconds / USUAL_SECONDS)

    def wait(self, job, limit):
        """Ended within the limit, which a machine that is slow or busy stretches."""
        return job.wait(limit * self.stretch)

    def start(self, output, arguments=(), fault="", folder=None):
        """The whole pipeline; with a fault, in the program with faults, whose traces go to `folder`."""
        environment = {"DIFFPROB_FAULT": fault, "DIFFPROB_FAULT_FOLDER": str(folder)} if fault else {}
        return Job(self.faulty if fault else self.program, ["run", self.config, f"--output={output}", *arguments], self.log, environment)


def newest_checkpoint(stage):
    return max((p for p in (stage / "checkpoints").glob("step_*") if p.name[5:].isdigit()), key=lambda p: p.name)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def results(output):
    """Digests of what a finished run must have: both networks, the scores, the kept set, the training dynamics."""
    files = [output / "score/scores.h5", output / "train_original/dynamics.h5", output / "prune/index_set.h5",
             output / "prune/kept_index.txt", output / "prune/label_map.txt"]
    for stage in ("train_original", "train_pruned_s0"):
        files += sorted(newest_checkpoint(output / stage).glob("*.pth"))
    return {str(path.relative_to(output)): digest(path) for path in files}


def check_results(output, reference):
    """As the unbroken run's, with a report, nothing half-written left and every line of metrics whole."""
    found = results(output)
    different = sorted(name for name in reference.keys() | found.keys() if reference.get(name) != found.get(name))
    if different:
        raise Failure("after the resume these differ from the unbroken run: " + ", ".join(different))
    if not (output / "report.html").exists():
        raise Failure("after the resume there is no report.html")
    left = [str(path.relative_to(output)) for path in output.rglob("*.tmp*")]
    if left:
        raise Failure("half-written files are left after the resume: " + ", ".join(sorted(left)))
    for number, line in enumerate((output / "metrics.jsonl").read_text().splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            raise Failure(f"metrics.jsonl:{number} is not whole: {line[:60]}") from None
