#!/usr/bin/env python3
"""Faults of every kind, and the same command again after each: run.py PROGRAM PROGRAM_WITH_FAULTS WORK_FOLDER

Each case asserts that the job ends in time, with the right exit code and a message that names the cause, and that the resumed run ends with
the networks, scores and kept set of the unbroken one, byte by byte. DIFFPROB_FAULTS=quick (default), a short subset; all; or a regular
expression that names cases.
"""
import os
import pathlib
import re
import shutil
import sys
import time

import scenarios
from cases import all_cases
from job import Bench, Failure


def chosen():
    wish = os.environ.get("DIFFPROB_FAULTS", "quick")
    cases = all_cases()
    if wish == "all":
        return cases
    return [case for case in cases if (case.quick if wish == "quick" else re.search(wish, case.name))]


def run_case(bench, case, folder):
    """-> (result, seconds of the struck job, reason)"""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    bench.log = folder / "log"
    try:
        ended = getattr(scenarios, case.check)(bench, case, folder)
        shutil.rmtree(folder)
        return "as asserted", ended.seconds, ""
    except scenarios.Skipped as reason:
        return "skipped", 0, str(reason)
    except Failure as reason:
        return "FAILED", 0, f"{reason} (see {bench.log})"


def main():
    program, faulty_program, work = sys.argv[1:4]
    bench = Bench(program, faulty_program, work)
    print(f"unbroken run: {bench.seconds:.1f} s, {len(bench.reference)} files compared; limits stretched {bench.stretch:.1f} times")
    print(f"{'case':<46} {'result':<12} {'ended in':>9} {'in all':>8}")
    start = time.monotonic()
    counts = {"as asserted": 0, "skipped": 0, "FAILED": 0}
    for number, case in enumerate(chosen()):
        begin = time.monotonic()
        result, seconds, reason = run_case(bench, case, pathlib.Path(work) / f"case{number}")
        counts[result] += 1
        print(f"{case.name:<46} {result:<12} {seconds:7.1f} s {time.monotonic() - begin:6.1f} s  {reason}".rstrip(), flush=True)
    print(f"{sum(counts.values())} cases, {counts['as asserted']} as asserted, {counts['FAILED']} failed, {counts['skipped']} skipped,"
          f" {time.monotonic() - start:.0f} s")
    if counts["FAILED"] == 0:
        shutil.rmtree(work)
    return 1 if counts["FAILED"] > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
