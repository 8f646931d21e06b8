#!/usr/bin/env bash
# launch/supervise.sh over three hosts without Slurm: one is cut off in the middle of training, the job goes on with those that answer.
# DIFFPROB_CLUSTER_LONG=1: also with a host that loses power. hosts.sh PROGRAM WORK_FOLDER
set -euo pipefail
# shellcheck disable=SC2034 # for cluster.sh
program=$1 work=$2
# shellcheck source=tests/launch/cluster/cluster.sh
. "$(dirname "$0")/cluster.sh"
log=$work/supervise.log

# lose NODE HOW OUTPUT: once the training is under way.
lose() {
  wait_for 300 "step 10" has_step "$3" 10
  "$kit/node.sh" "$1" "$2"
}

# The kit's stand-in for ssh reaches a node whose cable is out; this one needs the network (the port of slurmd).
cat >"$work/agent.sh" <<'AGENT'
#!/bin/bash
address=$(awk -v node="$1" '$2 == node {print $1}' "$VCLUSTER_DIR/hosts")
timeout 3 bash -c "exec 3<>/dev/tcp/$address/6818" || exit 255
exec "$DIFFPROB_CLUSTER_KIT/rsh-agent.sh" "$@"
AGENT
chmod +x "$work/agent.sh"

# supervised OUTPUT: 10 minutes at most.
supervised() {
  OMPI_MCA_plm_rsh_agent=$work/agent.sh timeout 600 "$source_folder/launch/supervise.sh" --pause 1 --hosts node1:2,node2:2,node3:2 -- \
    "$kit/mpirun.sh" -x OMP_NUM_THREADS "$program" train "$work/config.yaml" --data.train="$work/data" --output="$work/$1" >"$log" 2>&1 ||
    die "supervise.sh ended with $?"
}
says() { grep -qE -- "$1" "$log" || die "the log does not say: $1"; }

start_cluster
prepare 6
"$program" data synth "$work/data" --synthetic.identities=12 --synthetic.images_per_identity=12 --synthetic.verification_pairs=20 --seed=3 >data.log
for how in ${DIFFPROB_CLUSTER_LONG:+kill} link-down; do
  begin=$SECONDS
  bring_nodes_back
  lose node2 "$how" "$how" &
  supervised "$how"
  wait
  says 'node2:2 does not answer: skipped'
  says '\[r0/6\] .*6 ranks'
  says '\[r0/4\] .*: continues .*step_'
  [ "$(grep -c 'supervise: start ' "$log")" -ge 2 ] || die "it was not started again"
  echo "$how: $(grep -c 'supervise: start ' "$log") starts, $((SECONDS - begin)) s"
done
rm -rf "$work"
echo "passed"
