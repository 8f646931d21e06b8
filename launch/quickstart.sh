#!/usr/bin/env bash
# From a fresh machine to the final table: set-up, build, and the main job on the embedded synthetic faces.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh

started=$SECONDS
./launch/setup.sh
echo "quickstart: set-up took $((SECONDS - started)) s"

started=$SECONDS
./launch/build.sh diffprob
echo "quickstart: build took $((SECONDS - started)) s"

started=$SECONDS
ranks=$(($(nproc) > 1 ? 2 : 1))
mpirun -np "$ranks" --bind-to none --oversubscribe build/release/diffprob run launch/configs/quickstart.yaml "$@"
echo "quickstart: the main job took $((SECONDS - started)) s; everything is in runs/quickstart"
