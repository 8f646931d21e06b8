#!/usr/bin/env python3
"""What cleaning and pruning found of what was planted (bench/planted.sh): tables as text on stderr, JSON on stdout.

    planted_table.py FOLDER... [--seconds N]

FOLDER (its name is that of the set) holds data/planted.csv (index,label,true_label,kind,source) and SELECTION/kept_index.txt of each selection:
`mispredicted` and `confident` are cleaning alone, the others keep a share. Standard library alone.

Cleaning, as the program's own report counts it: precision = flipped labels among the dropped samples, recall = dropped ones among the flipped labels.
Selections: the share that is removed of each kind of sample. A near-duplicate copies another sample (its source); `copies` is what no longer has
a twin: for each source, samples that were kept beyond the first of it and its copies, against all its copies. A near-duplicate that stays in
place of its source is no loss, so this is the fairer number; `duplicates` is the plain one.
"""
import argparse
import collections
import csv
import json
import pathlib
import re
import sys

CLEANING = ("mispredicted", "confident")
SELECTIONS = ("diffprob", "clean+diffprob", "random", "dynunc", "el2n", "aum", "forgetting")
HEADER = ["index", "label", "true_label", "kind", "source"]
BARS = {"recall": 0.9, "precision": 0.8}


def read_planted(path):
    """[(kind, source)] by index."""
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != HEADER:
        sys.exit(f"{path}:1: want '{','.join(HEADER)}', found '{','.join(rows[0]) if rows else ''}'")
    planted = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(HEADER) or row[0] != str(len(planted)):
            sys.exit(f"{path}:{number}: want {len(HEADER)} fields and index {len(planted)}, found '{','.join(row)}'")
        planted.append((row[3], int(row[4])))
    return planted


def read_kept(path, samples):
    text = path.read_text()
    if not re.fullmatch(r"kept_index = \[[\d,\s]*\]\s*", text):
        sys.exit(f"{path}: want one line 'kept_index = [...]', found '{text[:60]}'")
    kept = set(map(int, re.findall(r"\d+", text)))
    if kept and max(kept) >= samples:
        sys.exit(f"{path}: index {max(kept)} is not below {samples}")
    return kept


def share(part, whole):
    return round(part / whole, 4) if whole else None


def judge_cleaning(planted, kept):
    dropped = collections.Counter(kind for i, (kind, _) in enumerate(planted) if i not in kept)
    flips = sum(kind == "flipped_label" for kind, _ in planted)
    found = dropped["flipped_label"]
    return {"dropped": sum(dropped.values()), "dropped_flips": found, "precision": share(found, sum(dropped.values())),
            "recall": share(found, flips), "dropped_of_kind": dict(sorted(dropped.items()))}


def twins_left(planted, kept):
    """Near-duplicates that still have a twin: samples kept beyond the first of each source and its copies."""
    kept_of_source = collections.Counter(source if kind == "near_duplicate" else i
                                         for i, (kind, source) in enumerate(planted) if i in kept)
    return sum(count - 1 for count in kept_of_source.values())


def judge_selection(planted, kept):
    of_kind = collections.Counter(kind for kind, _ in planted)
    removed = collections.Counter(kind for i, (kind, _) in enumerate(planted) if i not in kept)
    copies = of_kind["near_duplicate"]
    return {"kept": share(len(kept), len(planted)), "duplicates_removed": share(removed["near_duplicate"], copies),
            "copies_removed": share(copies - twins_left(planted, kept), copies), "flips_removed": share(removed["flipped_label"], of_kind["flipped_label"]),
            "hard_removed": share(removed["hard"], of_kind["hard"]), "plain_removed": share(removed["plain"], of_kind["plain"])}


def judge(folder):
    planted = read_planted(folder / "data" / "planted.csv")
    kept_of = lambda name: read_kept(folder / name / "kept_index.txt", len(planted))
    found = lambda names: [name for name in names if (folder / name).is_dir()]
    report = {"samples": len(planted), "kinds": dict(sorted(collections.Counter(kind for kind, _ in planted).items())),
              "cleaning": {name: judge_cleaning(planted, kept_of(name)) for name in found(CLEANING)},
              "half_kept": {name: judge_selection(planted, kept_of(name)) for name in found(SELECTIONS)}}
    if report["half_kept"]:  # the bars are those of the synthetic faces
        for name, bar in BARS.items():
            report[f"{name}_at_least_{bar}"] = (report["cleaning"]["mispredicted"][name] or 0) >= bar
    return report


def percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def print_table(name, report):
    rows = [("cleaning", "dropped", "of them flipped", "precision %", "recall %")]
    rows += [(rule, str(r["dropped"]), str(r["dropped_flips"]), percent(r["precision"]), percent(r["recall"]))
             for rule, r in report["cleaning"].items()]
    if report["half_kept"]:
        rows += [(), ("removed, in %", "all", "duplicates", "copies", "flipped", "hard", "plain")]
        rows += [(method, percent(1 - r["kept"]), *(percent(r[f"{kind}_removed"]) for kind in ("duplicates", "copies", "flips", "hard", "plain")))
                 for method, r in report["half_kept"].items()]
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["kinds"].items())
    print(f"\n{name}: {report['samples']} samples ({kinds})", file=sys.stderr)
    for row in rows:
        print("  " + "".join(f"{cell:<16}" if i == 0 else f"{cell:>17}" if len(row) == 5 else f"{cell:>12}" for i, cell in enumerate(row)),
              file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, nargs="+")
    parser.add_argument("--seconds", type=int, help="wall time, for the report")
    args = parser.parse_args()
    report = {"seconds": args.seconds} if args.seconds is not None else {}
    for folder in args.folder:
        report[folder.name] = judge(folder)
        print_table(folder.name, report[folder.name])
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
