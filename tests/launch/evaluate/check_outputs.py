"""check_outputs.py FOLDER SET IJB_FOLDER: the files s.*, roc.* of an evaluation say what its results.json says, by plain counting."""
import csv
import json
import math
import struct
import sys

folder, name, ijb_folder = sys.argv[1:]


def read(path):
    with open(path) as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    header = eval(data[10:10 + length], {"__builtins__": {}})
    assert header["descr"] == "<f8" and not header["fortran_order"] and (10 + length) % 64 == 0
    values = struct.unpack(f"<{header['shape'][0]}d", data[10 + length:])
    return list(values)


def rates(pairs, threshold):
    """FAR and TAR when pairs of at least this score are accepted, by counting."""
    genuine = [score for score, same in pairs if same]
    impostor = [score for score, same in pairs if not same]
    return (sum(score >= threshold for score in impostor) / len(impostor), sum(score >= threshold for score in genuine) / len(genuine))


def check_curve(pairs, curve):
    for row in curve:
        assert (row["far"], row["tar"]) == rates(pairs, row["threshold"]), row
    assert [row["far"] for row in curve] == sorted(row["far"] for row in curve)
    assert curve[0]["tar"] == 0 and curve[-1]["far"] == curve[-1]["tar"] == 1


def check_table(pairs, rows):
    """Every TAR of the results is the highest of all thresholds with that FAR or a lower one."""
    everything = [rates(pairs, threshold) for threshold in sorted({score for score, _ in pairs}) + [math.inf]]
    for row in rows:
        best = max(tar for far, tar in everything if far <= row["far"])
        assert row["tar"] == best, (row, best)


results = json.load(open(f"{folder}/results.json"))
(verification,) = results["verification"]
rows = read(f"{folder}/s.{name}.csv")
assert [row["pair"] for row in rows] == list(range(verification["pairs"]))
for fold, (accuracy, threshold) in enumerate(zip(verification["fold_accuracy"], verification["fold_threshold"])):
    mine = [row for row in rows if row["fold"] == fold]
    assert sum(row["accepted"] == row["same"] for row in mine) / len(mine) == accuracy
    assert all(row["threshold"] == threshold and row["accepted"] == (row["distance"] < threshold) for row in mine)
pairs = [(row["similarity"], row["same"] == 1) for row in rows]
check_curve(pairs, read(f"{folder}/roc.{name}.csv"))
check_table(pairs, verification["tar_at_far"])
assert read_npy(f"{folder}/s.{name}.npy") == [row["similarity"] for row in rows]
assert verification["xnorm"] > 0

(ijb,) = results["ijb"]
listed = [line.split() for line in open(f"{ijb_folder}/meta/ijbc_template_pair_label.txt")]
for variant in ijb["variants"]:
    part = f"IJB-C.{variant['variant']}"
    rows = read(f"{folder}/s.{part}.csv")
    assert [[row["template1"], row["template2"], row["same"]] for row in rows] == [[float(v) for v in line] for line in listed]
    pairs = [(row["score"], row["same"] == 1) for row in rows]
    curve = read(f"{folder}/roc.{part}.csv")
    check_curve(pairs, curve)
    check_table(pairs, variant["tar_at_far"])
    assert variant["roc"]["far"] == [row["far"] for row in curve] and variant["roc"]["tar"] == [row["tar"] for row in curve]
    assert read_npy(f"{folder}/s.{part}.npy") == [row["score"] for row in rows]
