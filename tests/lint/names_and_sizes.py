#!/usr/bin/env python3
"""Names and sizes by clang-tidy (.clang-tidy), in the rooms that changed.

    names_and_sizes.py BUILD_FOLDER [ROOM ...]

ROOM: a folder such as data/files; without any, the rooms of files that differ from the last commit's parent
(DIFFPROB_LINT_SINCE names another commit). "all": every room, some ten minutes on two cores. LibTorch's headers are parsed
once, into a precompiled header of clang's own. Prints "skipped: REASON" and ends with 77 where a tool is missing.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

CHECKS = "-*,readability-identifier-naming,readability-function-size"
FOLDERS = ("dist", "data", "model", "prune", "eval", "launch")
# What GCC and CMake's precompiled header add to a command and clang does not take.
UNWANTED = {"-fpch-preprocess", "-Winvalid-pch", "-Werror"}
PCH_SUFFIX = "cmake_pch.hxx"
QUIET = ["-Wno-everything"]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def git(root, *arguments):
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else None


def changed_rooms(root):
    since = os.environ.get("DIFFPROB_LINT_SINCE", "HEAD~1")
    files = git(root, "diff", "--name-only", "--diff-filter=d", since)
    if files is None:
        skip(f"git knows no commit {since} here (a shallow clone?)")
    return {os.path.dirname(name) for name in files if name.endswith((".h", ".cpp")) and name.split("/")[0] in FOLDERS}


def clang_arguments(entry):
    """The command of one source for clang: (arguments without compiler, output and source, text of the precompiled header or None)."""
    words = entry["arguments"] if "arguments" in entry else shlex.split(entry["command"])
    while not os.path.basename(words[0]).startswith(("c++", "g++", "clang++")):
        words = words[1:]  # the compiler cache
    kept, header, skip_next = [], None, False
    for position, word in enumerate(words[1:], 1):
        if skip_next:
            skip_next = False
        elif word == "-include" and words[position + 1].endswith(PCH_SUFFIX):
            header, skip_next = words[position + 1], True
        elif word in ("-o", "-c"):
            skip_next = True
        elif word not in UNWANTED:
            kept.append(word)
    return kept, header


def precompile(header, arguments, folder):
    """Clang's own precompiled header; made anew when the text or the flags have changed."""
    target = folder / "torch.pch"
    stamp = folder / "torch.flags"
    flags = "\n".join([header, str(os.path.getmtime(header)), *arguments])
    if not target.is_file() or not stamp.is_file() or stamp.read_text() != flags:
        subprocess.run(["clang++-16", *arguments, *QUIET, "-x", "c++-header", header, "-o", str(target)], check=True)
        stamp.write_text(flags)
    return target


def sources_of(entry):
    """The source of a command, or those of a room that DIFFPROB_UNITY has made one."""
    path = pathlib.Path(entry["file"])
    if not path.name.startswith("unity_"):
        return [str(path)]
    return [line.split('"')[1] for line in path.read_text().splitlines() if line.startswith("#include")]


def commands(build, root, rooms, folder):
    entries = json.loads((build / "compile_commands.json").read_text())
    for source, entry in [(source, entry) for entry in entries for source in sources_of(entry)]:
        name = os.path.relpath(source, root)
        if not name.endswith(".cpp") or name.split("/")[0] not in FOLDERS:
            continue
        if rooms != {"all"} and os.path.dirname(name) not in rooms:
            continue
        arguments, header = clang_arguments(entry)
        if header is not None:
            arguments = [*arguments, "-include-pch", str(precompile(header, arguments, folder))]
        yield name, arguments


def tidy(root, name, arguments):
    done = subprocess.run(["clang-tidy-16", "--quiet", f"--checks={CHECKS}", "--warnings-as-errors=*",
                           f"--header-filter={root}/({'|'.join(FOLDERS)})/", name, "--", *arguments, *QUIET],
                          cwd=root, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    found = [line.replace(f"{root}/", "") for line in done.stdout.splitlines() if ": error:" in line or ": warning:" in line]
    return found or [f"{name}: clang-tidy failed: {(done.stdout + done.stderr).strip()[-400:]}"]


def main():
    build, rooms = pathlib.Path(sys.argv[1]).resolve(), set(sys.argv[2:])
    root = pathlib.Path(__file__).resolve().parents[2]
    for tool in ("clang-tidy-16", "clang++-16"):
        if shutil.which(tool) is None:
            skip(f"no {tool}; ./launch/setup.sh --test-packages installs it")
    rooms = rooms or changed_rooms(root)
    folder = build / "lint"
    folder.mkdir(exist_ok=True)
    work = list(commands(build, root, rooms, folder))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = sorted({line for lines in pool.map(lambda item: tidy(root, *item), work) for line in lines})
    print("\n".join(found) or f"{len(work)} sources in {len(rooms)} changed rooms: names and sizes as in .clang-tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
