#!/usr/bin/env bash
# The whole pipeline by launch/slurm/submit.sh on 3 nodes x 2 ranks: unbroken; with a node killed in the middle of training; preempted; over
# its time limit (mpirun, and a Slurm that does not requeue by exit code). All end with the same bytes. pipeline.sh PROGRAM WORK_FOLDER
set -euo pipefail
# shellcheck disable=SC2034 # for cluster.sh
program=$1 work=$2
# shellcheck source=tests/launch/cluster/cluster.sh
. "$(dirname "$0")/cluster.sh"
size=(--nodes 3 --tasks-per-node 2)
epochs=${DIFFPROB_CLUSTER_EPOCHS:-30}
start_cluster

# All runs have the same output folder, because score files name their data set; then it is kept under another name.
keep() { mv "$work/run" "$work/$1"; }
went_on() { log_says run 'train_original: continues .*step_' || die "it did not go on from a checkpoint"; }
was_requeued() { [ "$(field "$job" Restarts)" = 1 ]; }

# Slurm's signal comes at any moment of half a minute: the job must last beyond it.
for attempt in 1 2 3; do
  prepare "$epochs"
  submit run "${size[@]}" --time 00:20:00
  begin=$SECONDS
  ends "$job" COMPLETED 0:0
  took=$((SECONDS - begin))
  [ "$took" -lt 35 ] || break
  [ "$attempt" -lt 3 ] || die "the pipeline is too short for this test"
  epochs=$((epochs * 2))
  rm -rf "$work/run"
done
keep whole
echo "unbroken: $took s with $epochs epochs"

submit run "${size[@]}" --time 00:20:00
wait_for 300 "step 15" has_step run/train_original 15
"$kit/node.sh" node2 kill
wait_for 300 "the requeue" was_requeued
bring_nodes_back
ends "$job" COMPLETED 0:0
went_on
keep node_killed
same_results whole node_killed

submit run "${size[@]}" --time 00:20:00
low=$job
wait_for 300 "step 15" has_step run/train_original 15
high=$(sbatch --parsable -p hi -N 3 --exclusive -o high.log --wrap 'sleep 1')
ends "$high" COMPLETED 0:0
ends "$low" COMPLETED 0:0
[ "$(field "$low" Restarts)" = 1 ] || die "it was not preempted"
log_says run 'stopped by SIGTERM after step' || die "the ranks wrote no checkpoint when they were preempted"
went_on
keep preempted
same_results whole preempted

sed -i '/^RequeueExit=/d' "$VCLUSTER_DIR/slurm.conf"
scontrol reconfigure
submit run "${size[@]}" --time 00:02:00 --lead 85 --launcher mpirun
wait_for 300 "the requeue" was_requeued
scontrol update JobId="$job" TimeLimit=20  # once is enough
ends "$job" COMPLETED 0:0 600
[ "$(field "$job" Restarts)" -ge 1 ] || die "it ended before its time limit"
log_says run 'stopped by SIGUSR1 after step' || die "the ranks wrote no checkpoint before the time limit"
[ "$(grep -hc 'slurm: job .*, start ' run/slurm/*.log)" -ge 2 ] || die "the log was not appended to"
sed -nE 's/.*r0.*\] (.*stopped by SIGUSR1 after step [0-9]+ of [0-9]+).*/\1/p' run/slurm/*.log
keep time_limit
same_results whole time_limit

rm -rf "$work"
echo "passed"
