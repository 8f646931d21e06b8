#!/usr/bin/env python3
"""Checks the links between pages, and the width of the pages for users.

    check_links.py ROOT

Fails, naming page and line, on a relative link to a file that does not exist, on an anchor that no heading of the page yields, on
a reference without a definition, and on a line of more than 120 columns in README.md and launch/docs. Pages that the program's help,
its keys and the recipes name must exist, too. Links into the web are not followed.
"""
import pathlib
import re
import sys
import tempfile

WIDEST = 120
NARROW = ("README.md", "launch/docs/")  # pages for users, read in a terminal and on paper as well
SKIPPED = ("build/", ".git/")
NAMING = ("launch/cli/help/*.txt", "launch/config/*.cpp", "launch/configs/*.yaml")  # texts for users that name pages
NAMED = re.compile(r"[\w./-]+/[\w-]+\.md\b")
FENCE = re.compile(r" {0,3}(```|~~~)")
HEADING = re.compile(r" {0,3}#{1,6}\s+(.*?)\s*#*\s*$")
CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
REFERENCE = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\[([^\[\]]+)\]")
DEFINITION = re.compile(r" {0,3}\[([^\[\]]+)\]:\s*<?([^\s>]+)>?\s*$")
SOURCE = re.compile(r'\b(?:src|href|srcset)="([^"]+)"')


def prose(text):
    """Lines with their numbers, without those of code: indented by four blanks after an empty line, or fenced."""
    fenced, indented, before = False, False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            indented = line.startswith("    ") and (indented or not before.strip())
            if not indented:
                yield number, line
        before = line


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    found = {}
    for _, line in prose(text):
        heading = HEADING.match(line)
        if heading is None:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        times = found.get(name, -1) + 1
        found[name] = times
        if times > 0:
            found[f"{name}-{times}"] = 0
    return set(found)


class Pages:
    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.pages = [path for path in sorted(self.root.rglob("*.md")) if not self.name(path).startswith(SKIPPED)]

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def faults_of_link(self, page, target):
        if re.match(r"[a-z][a-z0-9+.\-]*:", target):
            return
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.is_relative_to(self.root):
            yield f"link to {target}: leads out of {self.root}"
        elif not path.exists():
            yield f"link to {target}: {self.name(path)} does not exist"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text()):
            yield f"link to {target}: no heading of {self.name(path)} yields #{anchor}"

    def faults_of_line(self, page, line, defined):
        plain = CODE.sub("``", line)
        definition = DEFINITION.match(line)
        for target in LINK.findall(plain) + SOURCE.findall(plain) + ([definition.group(2)] if definition else []):
            yield from self.faults_of_link(page, target)
        for name in REFERENCE.findall(plain):
            if name not in defined:
                yield f"reference [{name}]: the page has no line [{name}]: TARGET"

    def faults_of_texts(self):
        for text in sorted(path for pattern in NAMING for path in self.root.glob(pattern)):
            for number, line in enumerate(text.read_text().splitlines(), 1):
                for name in NAMED.findall(line):
                    if not (self.root / name).is_file():
                        yield f"{self.name(text)}:{number}: names {name}, which does not exist"

    def faults(self):
        yield from self.faults_of_texts()
        for page in self.pages:
            text = page.read_text()
            defined = {found.group(1) for found in (DEFINITION.match(line) for _, line in prose(text)) if found}
            for number, line in prose(text):
                for fault in self.faults_of_line(page, line, defined):
                    yield f"{self.name(page)}:{number}: {fault}"
            if self.name(page).startswith(NARROW):
                for number, line in enumerate(text.splitlines(), 1):
                    if len(line) > WIDEST:
                        yield f"{self.name(page)}:{number}: {len(line)} columns, expected at most {WIDEST}"


def check_the_check():
    """Pages with one fault of each kind, and one page without any."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "launch/docs").mkdir(parents=True)
        (root / "launch/cli/help").mkdir(parents=True)
        (root / "launch/cli/help/a.txt").write_text("see launch/docs/a.md\nand launch/docs/b.md.\n")
        (root / "good.md").write_text("# One `x_y`: two\n[a](#one-x_y-two) [b](launch/docs/a.md#a-1) [c](https://nowhere.invalid)\n"
                                      "`[code](no.md)`\n\n    [code](no.md)\n")
        (root / "launch/docs/a.md").write_text("# A\n# A\n[up](../../good.md) [missing](no.md) [anchor](../../good.md#two)\n" +
                                               '<img src="no.svg">\n' + "x" * 121 + "\n[t][b] [t][c]\n\n[b]: ../../no.md\n")
        found = list(Pages(root).faults())
        if [fault.split(": ")[0].rpartition(":")[2] for fault in found] != ["2", "3", "3", "4", "6", "8", "5"]:
            sys.exit(f"check_links.py does not find what it should: {found}")


def main():
    check_the_check()
    pages = Pages(sys.argv[1])
    faults = list(pages.faults())
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(f"{len(faults)} faults in {len(pages.pages)} pages")
    print(f"{len(pages.pages)} pages, every link leads somewhere")


main()
