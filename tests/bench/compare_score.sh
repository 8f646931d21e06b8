#!/usr/bin/env bash
# Our scoring beside plain PyTorch (evaluation mode, no_grad, DataLoader, gloo) on the same faces and weights: fp32, 2 processes with 1 thread
# each, turn by turn in one run. Prints JSON: images a second of both (start-up not counted), their ratio (medians over the rounds), the largest
# difference of an own-class probability, verdict against the bars.
#
#   DIFFPROB_TEST_DATA=FOLDER tests/bench/compare_score.sh [NETWORK...]        default: iresnet18 mobilefacenet
#
# FOLDER/data/lfw holds train.rec, train.idx and property. The weights come from a short training of ours.
# IMAGES=768 scored, OF_EACH=4 images of each identity trained on, BATCH=64 images a process, ROUNDS=1, WORKERS=1 DataLoader processes a rank,
# DIFFPROB=build/release/diffprob, PYTHON: that of the torch wheel; packages of OpenCV and h5py are installed beside it, into build/peer_python.
set -euo pipefail
cd "$(dirname "$0")/../.."
source launch/environment.sh
: "${DIFFPROB_TEST_DATA:?names the folder that holds data/lfw}"
data=$(realpath "$DIFFPROB_TEST_DATA/data/lfw")
images=${IMAGES:-768} of_each=${OF_EACH:-4} batch=${BATCH:-64} rounds=${ROUNDS:-1}
program=${DIFFPROB:-build/release/diffprob}
python=${PYTHON:-${DIFFPROB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/diffprob}/torch-2.11.0/bin/python}
networks=("$@")
[ ${#networks[@]} -gt 0 ] || networks=(iresnet18 mobilefacenet)

export PYTHONPATH=$PWD/build/peer_python${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1
"$python" -c 'import cv2' 2>/dev/null ||
  "$python" -m pip install -q --no-deps --target build/peer_python 'opencv-python-headless<4.12' >&2
"$python" -c 'import h5py' 2>/dev/null || "$python" -m pip install -q --no-deps --target build/peer_python h5py >&2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT


# The first images, and of each of their identities the first few, for a head that knows them all.
PYTHONPATH=tests/bench:$PYTHONPATH "$python" - "$data" "$images" "$of_each" "$folder" <<'PYTHON'
import collections
import pathlib
import sys

import peer_train

data, images, of_each, folder = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
faces = peer_train.RecordFaces(data)
seen, trained = collections.Counter(), []
with open(faces.path, "rb") as rec:
    for i in range(images):
        label = int(faces.record(rec, faces.offsets[i])[0][0])
        if seen[label] < of_each:
            trained.append(i)
        seen[label] += 1
if sorted(seen) != list(range(len(seen))):
    sys.exit(f"{data}: the labels of the first {images} images are not 0 to {len(seen) - 1}")
(folder / "scored.txt").write_text(f"kept_index = {list(range(images))}")
(folder / "trained.txt").write_text(f"kept_index = {trained}")
PYTHON

diffprob() { # COMMAND KEYS...: its log on stdout
  mpirun -np 2 --oversubscribe --bind-to none "$program" "$@" --threads=1 --data.decode_threads=1 --data.train="$data" 2>&1
}

train_weights() { # NETWORK: sets checkpoint
  local network=$1
  diffprob train --output="$folder/$network" --data.kept="$folder/trained.txt" --model.backbone="$network" --model.scale=32 --train.epochs=1 \
    --train.batch_size=32 --train.milestones='[]' --eval.sets='[]' >"$folder/log.txt" || { cat "$folder/log.txt" >&2; exit 1; }
  checkpoint=$(ls -d "$folder/$network"/checkpoints/step_*)
  "$program" export --model.checkpoint="$checkpoint" --file="$folder/$network.pth" >&2
}

score_ours() { # FOLD: prints images a second; scores in $folder/ours
  diffprob score --output="$folder/ours" --data.kept="$folder/scored.txt" --model.checkpoint="$checkpoint" --score.batch_per_rank="$batch" \
    --score.fold="$1" >"$folder/log.txt" || { cat "$folder/log.txt" >&2; exit 1; }
  sed -nE 's/.*scored [0-9]+ images, ([0-9.]+) per second.*/\1/p' "$folder/log.txt"
}

score_peer() { # NETWORK: prints JSON; probabilities in $folder/peer.npy
  "$python" -m torch.distributed.run --nproc_per_node=2 --master_port $((20000 + RANDOM % 20000)) tests/bench/peer_score.py --data "$data" \
    --images "$images" --network "$1" --checkpoint "$checkpoint" --backbone "$folder/$1.pth" --out "$folder/peer.npy" --batch "$batch" \
    --workers "${WORKERS:-1}" | tail -n 1
}

largest_difference() {
  "$python" -c 'import sys, h5py, numpy
print(numpy.abs(h5py.File(sys.argv[1])["probability"][:].astype(float) - numpy.load(sys.argv[2])).max())' "$folder/ours/scores.h5" "$folder/peer.npy"
}

for network in "${networks[@]}"; do
  train_weights "$network"
  for ((round = 0; round < rounds; ++round)); do
    peer=$(score_peer "$network")
    plain=$(score_ours false)
    ours=$(score_ours true)
    printf '{"network": "%s", "ours": %s, "ours_not_folded": %s, "peer": %s, "difference": %s}\n' \
      "$network" "$ours" "$plain" "$peer" "$(largest_difference)" | tee -a "$folder/results" >&2
  done
done

"$python" - "$folder/results" "$images" <<'PYTHON'
import json
import statistics
import sys

runs = [json.loads(line) for line in open(sys.argv[1])]
report = {"images": int(sys.argv[2])}
for network in dict.fromkeys(run["network"] for run in runs):
    own = [run for run in runs if run["network"] == network]
    median = lambda value: round(statistics.median(map(value, own)), 3)
    entry = report[network] = {
        "ours_images_per_second": median(lambda run: run["ours"]),
        "ours_not_folded_images_per_second": median(lambda run: run["ours_not_folded"]),
        "peer_images_per_second": median(lambda run: run["peer"]["images_per_second"]),
        "ratio": median(lambda run: run["ours"] / run["peer"]["images_per_second"]),
        "largest_probability_difference": max(run["difference"] for run in own),
    }
    entry["speed_at_least_1.4"] = entry["ratio"] >= 1.4
    entry["difference_at_most_1e-4"] = entry["largest_probability_difference"] <= 1e-4
print(json.dumps(report, indent=2))
PYTHON
