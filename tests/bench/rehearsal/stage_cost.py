#!/usr/bin/env python3
"""Time and memory of a command and all its processes: stage_cost.py TABLE NAME COMMAND...

Appends to TABLE a line of JSON: seconds, peak MiB of memory of their own (RssAnon + RssShmem of all processes together, looked at 20 times a second;
the page cache of files is not theirs), and the last line of stdout that is JSON. What the command prints goes to TABLE.NAME.log. Ends as the command
does. stage_cost.py --table TABLE: the lines as a table in Markdown. Standard library alone.
"""
import json
import os
import pathlib
import subprocess
import sys
import threading
import time


def children_of(root):
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parents[int(entry)] = int(file.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                pass
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def own_kib(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(("RssAnon", "RssShmem")))
    except OSError:
        return 0


def watch(root, peak, ended):
    while not ended.wait(0.05):
        peak[0] = max(peak[0], sum(own_kib(pid) for pid in children_of(root)))


def run(table, name, command):
    start = time.monotonic()
    with open(f"{table}.{name}.log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        peak, ended = [0], threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, peak, ended))
        watcher.start()
        code = process.wait()
        ended.set()
        watcher.join()
        log.seek(0)
        lines = [line for line in log if line.startswith("{") and line.rstrip().endswith("}")]
    entry = {"stage": name, "seconds": round(time.monotonic() - start, 1), "peak_mib": round(peak[0] / 1024), "exit": code}
    if lines:
        entry["found"] = json.loads(lines[-1])
    with open(table, "a") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps(entry), file=sys.stderr, flush=True)
    return code


def print_table(table):
    print("| stage | seconds | MiB |\n|---|---|---|")
    for line in pathlib.Path(table).read_text().splitlines():
        entry = json.loads(line)
        if entry["exit"] == 0:
            print(f"| {entry['stage']} | {entry['seconds']} | {entry['peak_mib']} |")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--table":
        print_table(sys.argv[2])
    elif len(sys.argv) >= 4:
        sys.exit(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
    else:
        sys.exit(__doc__)
