#!/usr/bin/env bash
# Makes launch/docs/report.png, the picture of the report in README.md, from the synthetic faces: accuracies and the first face sheet.
#   make_picture.sh          runs the job of launch/configs/quickstart.yaml first (a few minutes on two cores)
#   make_picture.sh RUN      takes the finished run in the folder RUN
# DIFFPROB names the program (build/release/diffprob). Needs chromium: apt-get install chromium.
set -euo pipefail
cd "$(dirname "$0")/../.."
source launch/environment.sh
diffprob=${DIFFPROB:-build/release/diffprob}
picture=launch/docs/report.png
largest=$((300 * 1024))

command -v chromium >/dev/null || { echo "make_picture.sh: chromium is missing; apt-get install chromium" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -gt 0 ]; then
  run=$(realpath "$1")
else
  run=runs/quickstart
  mpirun -np "$(($(nproc) > 1 ? 2 : 1))" --oversubscribe "$diffprob" run launch/configs/quickstart.yaml --output="$run"
fi
"$diffprob" report "$run" --file="$work/whole.html"
# The parts between the models and the faces are left out.
sed '/<h2 id="pruning"/,/<h2 id="faces"/{/<h2 id="faces"/!d}' "$work/whole.html" >"$work/report.html"
grep -q '<h2 id="faces"' "$work/report.html" || { echo "make_picture.sh: the report of $run has no face sheets" >&2; exit 1; }

# A user folder of its own: a browser that is running elsewhere is not disturbed.
timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/browser" --hide-scrollbars \
  --force-device-scale-factor=1 --window-size="${WINDOW:-1100,1612}" --screenshot="$work/report.png" "file://$work/report.html" >"$work/log" 2>&1 ||
  { tail -n 5 "$work/log" >&2; exit 1; }

# Fewer colours where a tool for it is installed.
if command -v pngquant >/dev/null; then
  pngquant --force --output "$work/report.png" 128 "$work/report.png"
fi
size=$(stat -c %s "$work/report.png")
[ "$size" -lt "$largest" ] || { echo "make_picture.sh: the picture has $size bytes, expected fewer than $largest; set WINDOW=1100,900" >&2; exit 1; }
mv "$work/report.png" "$picture"
chmod 644 "$picture"
echo "$picture: $size bytes"
