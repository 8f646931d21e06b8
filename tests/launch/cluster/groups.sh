#!/usr/bin/env bash
# The whole pipeline on 3 nodes x 2 ranks with a copy of the head's classes on every node (model.head_group=node): unbroken, and with a node
# killed in the middle of training. Both end with the same bytes, with the classes written once. groups.sh PROGRAM WORK_FOLDER
set -euo pipefail
# shellcheck disable=SC2034 # for cluster.sh
program=$1 work=$2
# shellcheck source=tests/launch/cluster/cluster.sh
. "$(dirname "$0")/cluster.sh"
size=(--nodes 3 --tasks-per-node 2)
start_cluster
prepare 20
sed -i 's/^model: {/model: {head_group: node, /' "$work/config.yaml"

submit run "${size[@]}" --time 00:20:00
ends "$job" COMPLETED 0:0
log_says run 'head: 3 copies of the classes, each on 2 ranks' || die "the log names no groups"
checkpoint=$(find "$work/run/train_original/checkpoints" -maxdepth 1 -name 'step_????????' | sort | tail -n 1)
[ "$(find "$checkpoint" -name 'head.*.pth' | wc -l)" -eq 2 ] || die "$checkpoint does not hold the classes once, in 2 files"
mv "$work/run" "$work/whole"

submit run "${size[@]}" --time 00:20:00
wait_for 300 "step 15" has_step run/train_original 15
"$kit/node.sh" node2 kill
was_requeued() { [ "$(field "$job" Restarts)" = 1 ]; }
wait_for 300 "the requeue" was_requeued
bring_nodes_back
ends "$job" COMPLETED 0:0
log_says run 'train_original: continues .*step_' || die "it did not go on from a checkpoint"
mv "$work/run" "$work/node_killed"
same_results whole node_killed
rm -rf "$work"
echo "passed"
