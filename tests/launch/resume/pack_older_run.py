"""Packs what a program of an earlier commit left behind into the fixture of older_program.sh.

    pack_older_run.py STOPPED FINISHED OUTPUT.tar.xz

STOPPED, FINISHED: outputs of `diffprob run` on older_run.yaml, one killed in its first training after a checkpoint, one finished. Only the
first training of both is packed. So that the archive stays small, the numbers of every large tensor are replaced by repetitions of its first
ones; the SHA-256 in the manifests follow. Everything else is as the older program wrote it, byte for byte.
"""
import hashlib
import json
import pathlib
import shutil
import struct
import sys
import tarfile
import tempfile
import zipfile
import zlib

PERIOD = 1024  # bytes of a tensor that are kept


def repeat_numbers(path):
    """Rewrites the archive/data/N records of a .pth in place, and their checksums in the three places where a zip has them."""
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        central = archive.start_dir
    for info in infos:
        name_length, extra_length = struct.unpack_from("<HH", raw, info.header_offset + 26)
        start = info.header_offset + 30 + name_length + extra_length
        if "/data/" in info.filename and info.file_size > PERIOD:
            head = bytes(raw[start:start + PERIOD])
            data = (head * (info.file_size // PERIOD + 1))[:info.file_size]
            raw[start:start + info.file_size] = data
            checksum = struct.pack("<I", zlib.crc32(data))
            if struct.unpack_from("<I", raw, info.header_offset + 14)[0] == info.CRC:
                raw[info.header_offset + 14:info.header_offset + 18] = checksum
            if info.flag_bits & 8:
                assert raw[start + info.file_size:start + info.file_size + 4] == b"PK\x07\x08", info.filename
                raw[start + info.file_size + 4:start + info.file_size + 8] = checksum
            assert struct.unpack_from("<I", raw, central + 16)[0] == info.CRC, info.filename
            raw[central + 16:central + 20] = checksum
        name_length, extra_length, comment_length = struct.unpack_from("<HHH", raw, central + 28)
        central += 46 + name_length + extra_length + comment_length
    path.write_bytes(raw)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def repeat_in_checkpoint(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["files"]:
        path = folder / entry["name"]
        repeat_numbers(path)
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    del manifest["manifest_sha256"]
    compact = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    manifest["manifest_sha256"] = hashlib.sha256(compact.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False) + "\n")


def digest_is_right(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    wanted = manifest.pop("manifest_sha256")
    compact = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(compact.encode()).hexdigest() == wanted


def main():
    stopped, finished, output = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        for name, source in (("stopped", stopped), ("finished", finished)):
            run = pathlib.Path(source) / "train_original"
            target = pathlib.Path(work) / name / "train_original"
            newest = max((run / "checkpoints").glob("step_????????"))
            shutil.copytree(newest, target / "checkpoints" / newest.name)
            for file in ("inputs.json", "stage.json", "dynamics.h5"):
                if (run / file).exists():
                    shutil.copy(run / file, target)
            checkpoint = target / "checkpoints" / newest.name
            assert digest_is_right(checkpoint), "Python writes this manifest's numbers in another way"
            repeat_in_checkpoint(checkpoint)
        with tarfile.open(output, "w:xz") as archive:
            for name in ("stopped", "finished"):
                archive.add(pathlib.Path(work) / name, name)


main()
