#!/usr/bin/env python3
"""How the pages and comments read, in numbers: for comparing two versions, not a test.

    english.py [ROOT]

Pages (README.md, launch/docs): words per paragraph (the longest, too), words in `code` per 1000, lines over 120 columns. Comments in the
sources: the share of blocks of whole sentences, which begin with a capital letter, a number or code and end with a full stop, a colon
or a question mark; and the folders with the most others. A comment beside code on one line is a note, and is counted on its own.
"""
import collections
import pathlib
import re
import sys

FOLDERS = ("dist", "data", "model", "prune", "eval", "launch", "tests")
WIDEST = 120


def paragraphs(text):
    """Running text: no headings, tables, code blocks, pictures."""
    text = re.sub(r"(?m)^( {4}|\t).*$", "", text)
    text = re.sub(r"(?m)^(\||#|!\[).*$", "", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*[-*] |\s*\d+\. )", text):
        words = block.split()
        if len(words) > 3:
            yield block


def page_numbers(path):
    text = path.read_text()
    blocks = list(paragraphs(text))
    counts = [len(block.split()) for block in blocks] or [0]
    code = sum(len(found.split()) for block in blocks for found in re.findall(r"`[^`]*`", block))
    wide = sum(len(line) > WIDEST for line in text.splitlines())
    return sum(counts), len(blocks), max(counts), code, wide


def comment_blocks(text):
    """Comments of one or more whole lines, and the notes beside code."""
    block = []
    for line in text.splitlines() + [""]:
        found = re.match(r"\s*//+!?<? ?(.*)$", line)
        if found:
            block.append(found[1])
            continue
        if block:
            yield "block", " ".join(block).strip()
            block = []
        beside = re.search(r"\S.*?\s//[/!]*<? (.*)$", line)
        if beside and '"' not in line[:beside.start(1)]:
            yield "note", beside[1]


def is_whole(text):
    text = re.sub(r"^(NOLINT\S*|clang-format (on|off)).*", "", text)
    return not text or (re.match(r"[A-Z0-9`\"'(\[{-]|[a-z_]+[A-Z_(.:]", text) is not None and text.rstrip(")`'\"").endswith((".", ":", "?")))


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    print(f"{'page':44} {'words':>6} {'per paragraph':>14} {'longest':>8} {'code in 1000':>13} {'wide lines':>11}")
    for path in [root / "README.md", *sorted((root / "launch/docs").glob("*.md"))]:
        words, blocks, longest, code, wide = page_numbers(path)
        print(f"{str(path.relative_to(root)):44} {words:6} {words / max(blocks, 1):14.1f} {longest:8} {1000 * code / max(words, 1):13.0f} {wide:11}")
    whole, fragments = collections.Counter(), collections.Counter()
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".cu", ".cuh"):
                continue
            for kind, text in comment_blocks(path.read_text()):
                (whole if is_whole(text) else fragments)[kind, path.parent.relative_to(root).as_posix()] += 1
    for kind in ("block", "note"):
        good = sum(count for (other, _), count in whole.items() if other == kind)
        bad = sum(count for (other, _), count in fragments.items() if other == kind)
        print(f"\ncomments, {kind}s: {good} of {good + bad} are whole sentences ({100 * good / max(good + bad, 1):.1f} %)")
        most = sorted(((count, folder) for (other, folder), count in fragments.items() if other == kind), reverse=True)[:8]
        print("  most others: " + ", ".join(f"{folder} {count}" for count, folder in most))


if __name__ == "__main__":
    main()
