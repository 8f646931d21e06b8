#!/usr/bin/env python3
"""Makes C++ of a .cu or of a header for nvcc, for tests/support/simt: as_host_code.py IN OUT

Launches become calls, shared memory becomes memory of the host. What the file includes from CUDA must be in cuda_runtime.h there.
"""
import pathlib
import re
import sys

LAUNCH = re.compile(r"([\w.:]+(?:<[^<>;{}]*>)?)\s*<<<(.*?)>>>\s*\(", re.DOTALL)
DYNAMIC = re.compile(r"extern __shared__ (\w+) (\w+)\[\];")


def host_code(text):
    text = DYNAMIC.sub(r"auto* \2 = reinterpret_cast<\1*>(diffprob::tests::simt::shared_memory.data());", text)
    text = text.replace("__shared__", "static")
    call = r"diffprob::tests::simt::kernel(\1, diffprob::tests::simt::Launch(\2))("
    text = LAUNCH.sub(call, text)
    text = re.sub(r"^\s*#pragma unroll.*$", "", text, flags=re.MULTILINE)
    if "<<<" in text:
        sys.exit("as_host_code.py: a launch was not understood: " + text[text.index("<<<") - 60:text.index("<<<") + 20])
    return text


source, target = map(pathlib.Path, sys.argv[1:])
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(f"// Made of {source.name}\n" + host_code(source.read_text()))
