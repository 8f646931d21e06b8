#!/usr/bin/env python3
"""Calls of CUDA and LibTorch that are about the current device, which is device 0 in a thread that has not said otherwise: in the program's
sources each stands behind a guard of its function, or names its device. On one GPU nothing else shows it.

    device_calls.py ROOT
"""
import pathlib
import re
import sys

FOLDERS = ("dist", "model", "data", "prune", "eval", "launch")
NEVER = re.compile(r"getCurrentCUDAStream\(\)|getDefaultCUDAStream\(\)|getCurrentDeviceProperties\(|getStreamFromPool\((?:[^(),]*\*/ *)?(?:true|false)?\)")
BEHIND_A_GUARD = re.compile(r"currentStreamCaptureStatus\w*\(|device_synchronize\(|cudaDeviceSynchronize\(|capture_begin\(|"
                            r"cudaMemGetInfo\(|cudaStreamSynchronize\(0|cudaMalloc\(|->replay\(")
GUARD = re.compile(r"\b(CUDAGuard|DeviceGuard|OptionalCUDAGuard)\b[^;]*\(")
COMMENT = re.compile(r"//.*")


def faults(name, text):
    """Yields "file:line: what" of each call that names no device."""
    guarded = False
    for number, line in enumerate(text.splitlines(), 1):
        line = COMMENT.sub("", line)
        if line.startswith("}"):
            guarded = False  # the end of a function
        guarded = guarded or bool(GUARD.search(line))
        for pattern, why in ((NEVER, "names no device"), (BEHIND_A_GUARD, "is about the current device, and no guard stands before it")):
            found = pattern.search(line)
            if found and not (pattern is BEHIND_A_GUARD and guarded):
                yield f"{name}:{number}: {found.group(0)} {why}"


def test_itself():
    good = "void f() {\n  const c10::cuda::CUDAGuard guard(d);\n  device_synchronize();\n  auto s = getCurrentCUDAStream(d.index());\n}\n"
    assert not list(faults("good", good)), list(faults("good", good))
    for bad in ("auto s = at::cuda::getCurrentCUDAStream();", "c10::cuda::device_synchronize();", "x = getCurrentDeviceProperties()->n;",
                "auto s = getStreamFromPool(/*isHighPriority=*/false);", "return currentStreamCaptureStatusMayInitCtx() != none;"):
        assert len(list(faults("bad", good + "void g() {\n  " + bad + "\n}\n"))) == 1, bad


def main():
    test_itself()
    root = pathlib.Path(sys.argv[1])
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in (".cpp", ".h", ".cu")]
    assert files, f"no sources in {root}"
    found = [fault for path in files for fault in faults(path.relative_to(root), path.read_text())]
    print("\n".join(found) or f"{len(files)} files: every call about a device names it")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
