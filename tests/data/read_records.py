"""Reads a train.rec with the standard library alone, the way arcface_torch's MXFaceDataset does through mxnet, and prints a line a sample:
key, label, image bytes in hex; then a line a class: "class", first key, one past its last key. Ends with an error on anything unexpected.
"""
import struct
import sys

MAGIC = 0xCED7230A


def read_record(rec, offset):
    """One record: parts joined, the magic number put back between them."""
    rec.seek(offset)
    payload, first = b"", True
    while True:
        magic, word = struct.unpack("<II", rec.read(8))
        assert magic == MAGIC, f"no record at {offset}"
        kind, length = word >> 29, word & ((1 << 29) - 1)
        assert kind in ((0, 1) if first else (2, 3)), f"part of kind {kind} at {offset}"
        payload += (b"" if first else struct.pack("<I", MAGIC)) + rec.read(length)
        rec.read(-length % 4)
        first = False
        if kind in (0, 3):
            return payload


def unpack(payload):
    """mxnet.recordio.unpack: flag labels behind the header, or one in it."""
    flag, label, key, _ = struct.unpack("<IfQQ", payload[:24])
    if flag == 0:
        return flag, [label], key, payload[24:]
    return flag, list(struct.unpack(f"<{flag}f", payload[24:24 + 4 * flag])), key, payload[24 + 4 * flag:]


class FaceDataset:
    """How the data sets of arcface_torch and CVLface touch a record: the label of the unpacked header is a float when flag is 0, else an array,
    of which they take the first element, a numpy.float32: `torch.tensor(label, dtype=torch.long)` takes a float, but stops at that one."""

    def __init__(self, folder):
        with open(folder + "/train.idx") as idx:
            self.offsets = {int(key): int(offset) for key, offset in (line.split("\t") for line in idx)}
        self.rec = open(folder + "/train.rec", "rb")
        header, _ = self.unpacked(0)
        if header[0] > 0:
            self.keys = list(range(1, int(header[1][0])))
        else:
            self.keys = sorted(self.offsets)

    def unpacked(self, key):
        flag, labels, own_key, image = unpack(read_record(self.rec, self.offsets[key]))
        return (flag, labels[0] if flag == 0 else labels, own_key), image

    def __getitem__(self, index):
        (_, label, _), image = self.unpacked(self.keys[index])
        return image, int(label)  # TypeError for an array, as there

    def __len__(self):
        return len(self.keys)


def print_samples(folder):
    """A line a sample of the data set class: index, label, image in hex."""
    samples = FaceDataset(folder)
    for index in range(len(samples)):
        image, label = samples[index]
        print(index, label, image.hex())


def main(folder):
    with open(folder + "/train.idx") as idx:
        offsets = {int(key): int(offset) for key, offset in (line.split("\t") for line in idx)}
    with open(folder + "/property") as file:
        classes, height, width = (int(value) for value in file.read().split(","))
    assert (height, width) == (112, 112)
    with open(folder + "/train.rec", "rb") as rec:
        flag, header0, _, nothing = unpack(read_record(rec, offsets[0]))
        assert flag == 2 and nothing == b"", "key 0 is not a header record"
        first_identity, end = int(header0[0]), int(header0[1])
        assert end - first_identity == classes and sorted(offsets) == list(range(end))
        labels = {}
        for key in range(1, first_identity):  # imgidx of MXFaceDataset
            flag, label, own_key, image = unpack(read_record(rec, offsets[key]))
            assert flag == 0 and own_key == key and label[0] == int(label[0])
            labels[key] = int(label[0])
            print(key, labels[key], image.hex())
        for identity in range(first_identity, end):
            _, span, _, nothing = unpack(read_record(rec, offsets[identity]))
            assert nothing == b""
            first, past = int(span[0]), int(span[1])
            assert {labels[key] for key in range(first, past)} == {identity - first_identity}
            print("class", first, past)


(print_samples if sys.argv[2:] == ["--samples"] else main)(sys.argv[1])
