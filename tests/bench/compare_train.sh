#!/usr/bin/env bash
# Our training beside plain PyTorch (DistributedDataParallel over gloo, DataLoader) on the same faces: same network and batch, fp32, 2 processes
# with 1 thread each, turn by turn in one run. Prints JSON: figures of both, their ratios (medians over the rounds), verdict against the bars.
#
#   DIFFPROB_TEST_DATA=FOLDER tests/bench/compare_train.sh [NETWORK...]        default: iresnet18 mobilefacenet
#
# FOLDER/data/lfw holds train.rec, train.idx and property.
# BATCH=32 images a process, WARMUP=4 and STEPS=12 steps, ROUNDS=1, WORKERS=1 DataLoader processes a rank,
# DIFFPROB=build/release/diffprob, PYTHON: that of the torch wheel; OpenCV's package is installed beside it, into build/peer_python, when missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
source launch/environment.sh
: "${DIFFPROB_TEST_DATA:?names the folder that holds data/lfw}"
data=$DIFFPROB_TEST_DATA/data/lfw
batch=${BATCH:-32} warmup=${WARMUP:-4} steps=${STEPS:-12} rounds=${ROUNDS:-1}
program=${DIFFPROB:-build/release/diffprob}
python=${PYTHON:-${DIFFPROB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/diffprob}/torch-2.11.0/bin/python}
networks=("$@")
[ ${#networks[@]} -gt 0 ] || networks=(iresnet18 mobilefacenet)

export PYTHONPATH=$PWD/build/peer_python${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1
"$python" -c 'import cv2' 2>/dev/null ||
  "$python" -m pip install -q --no-deps --target build/peer_python 'opencv-python-headless<4.12' >&2
results=$(mktemp)
trap 'rm -f "$results"' EXIT

common=(--data "$data" --batch "$batch" --warmup "$warmup" --steps "$steps")
for ((round = 0; round < rounds; ++round)); do
  for network in "${networks[@]}"; do
    peer=$("$python" -m torch.distributed.run --nproc_per_node=2 --master_port $((20000 + RANDOM % 20000)) \
      tests/bench/peer_train.py "${common[@]}" --network "$network" --workers "${WORKERS:-1}" | tail -n 1)
    ours=$("$python" tests/bench/measure_train.py "$program" "${common[@]}" --network "$network")
    printf '{"network": "%s", "ours": %s, "peer": %s}\n' "$network" "$ours" "$peer" | tee -a "$results" >&2
  done
done

"$python" - "$results" <<'PYTHON'
import json
import statistics
import sys

runs = [json.loads(line) for line in open(sys.argv[1])]
report = {}
for network in dict.fromkeys(run["network"] for run in runs):
    own = [run for run in runs if run["network"] == network]
    entry = report[network] = {}
    for side in ("ours", "peer"):
        entry[side] = {key: round(statistics.median(run[side][key] for run in own), 3) for key in own[0][side]}
    for key in ("images_per_second", "images_per_cpu_second", "peak_mib"):
        entry["ratio_" + key] = round(statistics.median(run["ours"][key] / run["peer"][key] for run in own), 3)
    entry["speed_at_least_1.10"] = entry["ratio_images_per_second"] >= 1.10
    entry["memory_at_most_1.0"] = entry["ratio_peak_mib"] <= 1.0
print(json.dumps(report, indent=2))
PYTHON
