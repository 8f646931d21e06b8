#!/usr/bin/env python3
"""Pins the wheels that launch/setup.sh installs: writes launch/packaging/libtorch.txt with the hash of every file.

    pin_wheels.py REQUIREMENT... > launch/packaging/libtorch.txt      (for example: torch==2.11.0 numpy==2.2.6)

Resolves the requirements with pip for this Python, then asks PyPI for the SHA-256 of every wheel of those versions for Linux (x86_64
and aarch64) and CPython from 3.11 on, so that one file serves all of them. Run it with Python 3.11 when a version changes.
"""
import json
import re
import subprocess
import sys
import urllib.request

INDEX = "https://pypi.org/simple"
OLDEST = 11  # of CPython 3


def resolve(requirements):
    command = [sys.executable, "-m", "pip", "-q", "install", "--dry-run", "--ignore-installed", "--report", "-", *requirements]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return sorted((item["metadata"]["name"], item["metadata"]["version"]) for item in report["install"])


def is_wanted(filename):
    """Whether a wheel is for Linux and a Python from OLDEST on, or for any."""
    if not filename.endswith(".whl"):
        return False
    python, abi, platform = filename.removesuffix(".whl").split("-")[-3:]
    minor = re.fullmatch(r"cp3(\d+)", python)
    fits_python = python.startswith("py") or (minor is not None and (int(minor[1]) >= OLDEST or abi == "abi3"))
    return fits_python and not abi.endswith("t") and (platform == "any" or ("manylinux" in platform and re.search("x86_64|aarch64", platform)))


def hashes(name, version):
    request = urllib.request.Request(f"{INDEX}/{name.lower().replace('_', '-')}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    return sorted({file["hashes"]["sha256"] for file in files if is_wanted(file["filename"]) and file["filename"].split("-")[1] == version})


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(f"# LibTorch and what it needs, with the hash of every wheel. Made by launch/packaging/pin_wheels.py {' '.join(sys.argv[1:])}")
    for name, version in resolve(sys.argv[1:]):
        found = hashes(name, version)
        if not found:
            sys.exit(f"{name} {version}: PyPI has no wheel for Linux")
        print(f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{value}" for value in found))


if __name__ == "__main__":
    main()
