#!/usr/bin/env python3
"""Checks that includes point down the list of rooms, and that rooms stay small.

    check_rooms.py ROOT

Fails, naming file and line, on an include of a file that lies in a room further down the list (an arrow that points up, so also on
every circle), on a source outside of all rooms, and on a room of more than 30 files.
"""
import pathlib
import re
import sys
import tempfile

FOLDERS = ("dist", "data", "model", "prune", "eval", "launch")
LARGEST = 30
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


class House:
    def __init__(self, root, rooms):
        self.root = pathlib.Path(root)
        self.rooms = rooms
        self.floor = {room: number for number, room in enumerate(rooms)}

    def sources(self):
        for folder in FOLDERS:
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in (".h", ".cpp", ".cu", ".cuh"):
                    yield path.relative_to(self.root).as_posix()

    def room_of(self, name):
        """The line for the file itself, else for its folder; None where the list has neither."""
        if name in self.floor:
            return name
        folder = name.rpartition("/")[0]
        return folder if folder in self.floor else None

    def arrows_up(self, name):
        room = self.room_of(name)
        for number, line in enumerate((self.root / name).read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found or not (self.root / found.group(1)).is_file():
                continue
            other = self.room_of(found.group(1))
            if other is not None and self.floor[other] > self.floor[room]:
                yield (f'{name}:{number}: includes "{found.group(1)}": {other} lies above {room} in tests/rooms/rooms.txt; '
                       f"move what is needed down, or the user of it up")

    def faults(self):
        files = {}
        for name in self.sources():
            room = self.room_of(name)
            if room is None:
                yield f"{name}: lies in no room of tests/rooms/rooms.txt"
                continue
            files.setdefault(room, []).append(name)
            yield from self.arrows_up(name)
        for room in self.rooms:
            count = len(files.get(room, []))
            if count == 0:
                yield f"tests/rooms/rooms.txt: no sources in {room}"
            if count > LARGEST:
                yield f"{room}: {count} files, at most {LARGEST} a room"

    def sizes(self):
        counts = {}
        for name in self.sources():
            folder = name.rpartition("/")[0]
            counts[folder] = counts.get(folder, 0) + 1
        return sorted(counts.values())


def read_rooms(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_itself():
    """Arrows down and inside a room pass; one up, a circle through a third room, a file outside and an empty room do not."""
    files = {"data/low/a.h": "", "data/low/b.h": '#include "data/low/a.h"\n', "data/high/c.h": '#include "data/low/a.h"\n'}
    wrong = {
        "data/low/up.cpp": ('#include <vector>\n#include "data/high/c.h"\n', "data/low/up.cpp:2: includes"),
        "data/other/x.h": ("", "lies in no room"),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        rooms = ["data/low", "data/high"]
        assert not list(House(root, rooms).faults())
        assert any("no sources" in fault for fault in House(root, rooms + ["data/empty"]).faults())
        for name, (text, message) in wrong.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
            faults = list(House(root, rooms).faults())
            assert len(faults) == 1 and message in faults[0], faults
            (root / name).unlink()
        for number in range(LARGEST):
            (root / f"data/low/{number}.h").write_text("")
        assert any("at most" in fault for fault in House(root, rooms).faults())


def main():
    test_itself()
    root = pathlib.Path(sys.argv[1])
    house = House(root, read_rooms((root / "tests/rooms/rooms.txt").read_text()))
    faults = list(house.faults())
    sizes = house.sizes()
    assert sizes, f"no sources in {root}"
    print("\n".join(faults) or f"{sum(sizes)} files in {len(sizes)} folders, largest {sizes[-1]}, median {sizes[len(sizes) // 2]}: "
                               f"every include points down")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
