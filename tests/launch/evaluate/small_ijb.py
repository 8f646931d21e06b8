"""small_ijb.py FACES FOLDER IMAGES: the first IMAGES faces of a record folder as an IJB-C folder of InsightFace's release, with templates
of three images, media of two, and one gallery pair. The same input gives the same files."""
import os
import random
import struct
import sys

POINTS = [38.2946, 51.6963, 73.5318, 51.5014, 56.0252, 71.7366, 41.5493, 92.3655, 70.7299, 92.2041]


def read_image(records, offset):
    """Returns label and JPEG bytes of an im2rec record."""
    records.seek(offset)
    length = struct.unpack("<II", records.read(8))[1] & 0x1FFFFFFF
    payload = records.read(length)
    flag = struct.unpack("<I", payload[:4])[0]
    label = struct.unpack("<f", payload[24:28] if flag else payload[4:8])[0]
    return int(label), payload[24 + 4 * flag:]


faces, folder, images = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.makedirs(f"{folder}/meta")
os.makedirs(f"{folder}/loose_crop")
random.seed(3)
offsets = {int(key): int(offset) for key, offset in (line.split("\t") for line in open(f"{faces}/train.idx"))}
media, points, labels = [], [], {}
with open(f"{faces}/train.rec", "rb") as records:
    for key in range(1, images + 1):
        label, jpeg = read_image(records, offsets[key])
        template = 100 + (key - 1) // 3
        labels.setdefault(template, label)
        with open(f"{folder}/loose_crop/{key}.jpg", "wb") as out:
            out.write(jpeg)
        media.append(f"{key}.jpg {template} {key // 2}\n")
        points.append(f"{key}.jpg " + " ".join(f"{v + random.uniform(-1, 1):.3f}" for v in POINTS) + " 0.95\n")


def write(name, lines):
    with open(f"{folder}/meta/ijbc_{name}", "w") as out:
        out.writelines(lines)


ids = sorted(labels)
heading = "TEMPLATE_ID,SUBJECT_ID\n"
write("face_tid_mid.txt", media)
write("name_5pts_score.txt", points)
write("template_pair_label.txt", [f"{a} {b} {int(labels[a] == labels[b])}\n" for a in ids for b in ids if a < b])
write("1N_gallery_G1.csv", [heading] + [f"{t},{labels[t]}\n" for t in ids[:4]])
write("1N_gallery_G2.csv", [heading] + [f"{t},{labels[t]}\n" for t in ids[8:12]])
write("1N_probe_mixed.csv", [heading] + [f"{t},{labels[t]}\n" for t in ids[4:8] + ids[12:]])
