"""The fault matrix: what strikes where, how the job must end, and what it must say. run.py runs it."""
import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    fault: str = ""               # DIFFPROB_FAULT (fault.h)
    code: object = 1              # exit code of the job that the fault strikes; several: a tuple
    says: tuple = ()              # regular expressions, each to be found in its output
    limit: int = 60               # seconds until it must have ended
    done: tuple = ()              # stages of the unbroken run that are there already
    arguments: tuple = ()         # of the struck job alone
    check: str = "strike"         # function of scenarios.py
    detail: tuple = ()            # its parameters
    quick: bool = False           # part of the subset that ctest runs


# Kind -> exit code of mpirun, what the output must say. {rank}: the one that suffers; {point}: where.
KINDS = {
    "kill": (137, (r"process rank {rank} .*signal 9 \(Killed\)",)),
    "segv": (139, (r"process rank {rank} .*signal 11 \(Segmentation fault\)",)),
    "abort": (134, (r"process rank {rank} .*signal 6 \(Aborted\)",)),
    "exit0": (1, (r"process rank {rank} with PID \d+ on\s+node \S+ exiting improperly",)),
    "throw": (1, (r"thrown on purpose at {point}", r"all ranks exit")),
    "stop": (1, (r"nothing from rank {rank}|rank {rank} did not answer",)),
    "term": (75, (r"stopped by SIGTERM",)),
}
FROZEN = ("--dist.step_timeout=5", "--dist.startup_timeout=20")

ORIGINAL, SCORED, PRUNED = ("train_original",), ("train_original", "score"), ("train_original", "score", "prune")


@dataclasses.dataclass(frozen=True)
class Point:
    name: str
    count: int = 1      # which passage
    done: tuple = ()    # stages that are there already
    of_root: bool = False


POINTS = (
    Point("launch"),
    Point("start"),
    Point("data_wait", 3),
    Point("forward", 6),
    Point("collective", 40),
    Point("checkpoint_staged", 5),
    Point("checkpoint_written", 2, of_root=True),
    Point("checkpoint_published", 2, of_root=True),
    Point("evaluation", 2),
    Point("score_part", 2, ORIGINAL),
    Point("scores_written", 1, ORIGINAL, of_root=True),
    Point("prune", 1, SCORED),
    Point("prune_written", 1, SCORED),
    Point("report", 1, PRUNED, of_root=True),
)

# mpirun sees it only when another rank has come that far.
MPI_INIT = r"MPI_Init of process \d+ on \S+ has waited 20 s|with PID \d+ on\s+node \S+ exiting improperly"

# (point, kind, rank) that differ from KINDS: exit code, what is said.
DIFFERENT = {
    **{("launch", "throw", rank): (1, (r"error: thrown on purpose at launch",)) for rank in (0, 1)},
    **{("launch", kind, rank): (1, (MPI_INIT,)) for rank in (0, 1) for kind in ("stop", "exit0")},
    **{("report", "term", rank): (0, ()) for rank in (0, 1)},  # all is done
    **{("report", "stop", rank): (1, (rf"MPI_Finalize of rank {1 - rank} on \S+ has waited 20 s",)) for rank in (0, 1)},
}
WAITED_FOR = ("stop", "exit0")  # nobody but the deadline tells the others

QUICK = {("start", "kill", 1), ("data_wait", "throw", 1), ("forward", "stop", 1), ("collective", "segv", 0),
         ("checkpoint_staged", "kill", 1), ("checkpoint_written", "abort", 0), ("checkpoint_published", "kill", 0),
         ("evaluation", "exit0", 1), ("score_part", "term", 1), ("scores_written", "kill", 0), ("prune_written", "throw", 1)}


def strikes():
    """Every kind at every point on both ranks. What rank 0 does alone can send rank 1 signals, no more."""
    for point in POINTS:
        for kind, (code, says) in KINDS.items():
            for rank in (0, 1):
                if point.of_root and rank == 1 and kind in ("exit0", "throw"):
                    continue
                code_here, says_here = DIFFERENT.get((point.name, kind, rank), (code, says))
                yield Case(f"{point.name} {kind} rank {rank}", f"{point.name}:{kind}:{rank}:{point.count}", code_here,
                           tuple(text.format(rank=rank, point=point.name) for text in says_here), 60, point.done,
                           FROZEN if kind in WAITED_FOR else (), quick=(point.name, kind, rank) in QUICK)


# A disk that refuses: (file, call, error, rank, stages that are there). The message must name the file and the error.
ERRORS = {"EIO": "Input/output error", "ENOSPC": "No space left on device", "EDQUOT": "Disk quota exceeded"}
FILES = (
    ("config.yaml", "write", "ENOSPC", 0, ()),
    ("metrics.jsonl", "write", "ENOSPC", 0, ()),
    ("tfevents", "write", "ENOSPC", 0, ()),
    ("inputs.json", "write", "ENOSPC", 0, ()),
    ("backbone.pth", "write", "EIO", 0, ()),
    ("backbone.pth", "fsync", "EIO", 0, ()),
    ("head.00001", "write", "EDQUOT", 1, ()),
    ("head.00001", "fsync", "EDQUOT", 1, ()),
    ("ready.00001", "write", "EIO", 1, ()),
    ("manifest.json", "write", "ENOSPC", 0, ()),
    ("manifest.json", "fsync", "EIO", 0, ()),
    ("dynamics.h5", "write", "ENOSPC", 0, ()),
    ("verification.json", "write", "EDQUOT", 0, ()),
    ("stage.json", "fsync", "EIO", 0, ()),
    ("/part.", "write", "ENOSPC", 1, ORIGINAL),
    ("/part.", "fsync", "EIO", 0, ORIGINAL),
    ("scores.h5", "write", "EIO", 0, ORIGINAL),
    ("scores.h5", "fsync", "EDQUOT", 0, ORIGINAL),
    ("index_set.h5", "write", "ENOSPC", 0, SCORED),
    ("index_set.h5", "fsync", "EIO", 0, SCORED),
    ("kept_index.txt", "write", "EDQUOT", 1, SCORED),
    ("kept_index.txt", "fsync", "EIO", 1, SCORED),
    ("label_map.txt", "write", "EIO", 1, SCORED),
    ("summary.txt", "write", "ENOSPC", 0, PRUNED),
    ("report.html", "write", "ENOSPC", 0, PRUNED),
)
QUICK_FILES = {("backbone.pth", "fsync"), ("head.00001", "write"), ("scores.h5", "write"),
               ("report.html", "write")}


# A job of days does not fail for these; the resumed one makes them.
UNESSENTIAL = {"report.html": "no report"}


def refusals():
    for file, call, error, rank, done in FILES:
        code, end = (0, UNESSENTIAL[file]) if file in UNESSENTIAL else (1, "all ranks exit")
        yield Case(f"{file} {call} {error} rank {rank}", f"{call}:{error}:{rank}:1:{file}", code, (re.escape(file), ERRORS[error], end), 60,
                   done, quick=(file, call) in QUICK_FILES)


OTHERS = (
    Case("full disk, first checkpoint", says=("No space left on device", "all ranks exit"), check="full_disk", detail=("150k",)),
    Case("full disk, later", says=("No space left on device", "all ranks exit"), check="full_disk", detail=("600k",), quick=True),
    Case("read-only output", says=("output: .*Read-only file system",), code=2, check="read_only", quick=True),
    Case("checkpoint shard truncated", says=(r"is corrupted; renamed", r"head\.00001-of-00002\.pth has \d+ bytes, expected \d+"), code=0,
         check="damaged_checkpoint", detail=("head.00001-of-00002.pth", "truncate")),
    Case("checkpoint shard with a flipped bit", says=(r"is corrupted; renamed", r"head\.00001.*does not match its SHA-256"), code=0,
         check="damaged_checkpoint", detail=("head.00001-of-00002.pth", "flip"), quick=True),
    Case("checkpoint shard missing", says=(r"is corrupted; renamed", r"head\.00000-of-00002\.pth is missing"), code=0,
         check="damaged_checkpoint", detail=("head.00000-of-00002.pth", "remove")),
    Case("checkpoint manifest truncated", says=(r"is corrupted; renamed", r"manifest\.json"), code=0, check="damaged_checkpoint",
         detail=("manifest.json", "truncate")),
    Case("all checkpoints damaged", says=(r"is corrupted; renamed",), code=0, check="damaged_checkpoint",
         detail=("backbone.pth", "flip", "all")),
    Case("score part truncated", says=(r"part\.\d+-\d+.*corrupted",), code=0, check="damaged_part", detail=("truncate",)),
    Case("score part with a flipped bit", says=(r"part\.\d+-\d+.*corrupted",), code=0, check="damaged_part", detail=("flip",)),
    Case("corrupt JPEG", says=(r"train\.rec.*record 11\b", "all ranks exit"), check="corrupt_jpeg", quick=True),
    Case("slow rank 0", "forward:slow:0:1", code=0),
    Case("slow rank 1", "forward:slow:1:1", code=0),
    Case("second job in the folder", says=(r"is in use by another job, process \d+ on \S+, since",), check="second_job", limit=40,
         quick=True),
    Case("signal twice", "forward:usr1twice:1:3", code=138, says=("second signal: exiting immediately",), quick=True),
    Case("signal before the first checkpoint", "data_wait:usr1:1:1", code=75, says=("stopped by SIGUSR1 after step 2 of 8",), quick=True),
    Case("link down between two nodes", check="link_down", code=(1, 205), arguments=FROZEN,
         says=(r"nothing from rank 1|lost|node2",)),
)


def all_cases():
    return [*strikes(), *refusals(), *OTHERS]
