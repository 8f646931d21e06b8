# shellcheck shell=bash disable=SC2154,SC2034 # program and work come from the test, job and kit are for it
# Sourced by the tests here: a virtual Slurm cluster of their own (3 nodes). Needs $program and $work.
# DIFFPROB_CLUSTER_KIT names the folder with up.sh, node.sh, down.sh; without it, or without root, the test is skipped.
skip() { echo "DIFFPROB_TEST_SKIPPED_ENTIRELY: $*"; exit 0; }
[ -n "${DIFFPROB_CLUSTER_KIT:-}" ] || skip "DIFFPROB_CLUSTER_KIT names no virtual cluster (a folder with up.sh)"
[ -x "$DIFFPROB_CLUSTER_KIT/up.sh" ] || skip "no up.sh in $DIFFPROB_CLUSTER_KIT"
[ "$(id -u)" -eq 0 ] || skip "a virtual cluster needs root"
# Every node has a /tmp of its own.
[[ $program != /tmp/* && $work != /tmp/* ]] || skip "the nodes do not see /tmp: build elsewhere"

kit=$DIFFPROB_CLUSTER_KIT
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export DIFFPROB_PROGRAM=$program OMP_NUM_THREADS=1
unset DIFFPROB_CLUSTER_ENV DIFFPROB_LAUNCHER
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit

die() {
  echo "FAILED: $*"
  local log
  for log in "$work"/*/slurm/*.log "$work"/*.log; do
    [ ! -e "$log" ] || { echo "--- end of $log"; tail -n 15 "$log"; }
  done
  exit 1
}

start_cluster() {
  local variables
  VCLUSTER_DIR=$(mktemp -d /srv/diffprob-XXXXXX)
  export VCLUSTER_DIR
  trap stop_cluster EXIT
  trap 'exit 1' INT TERM
  # ctest ends a test that takes too long with SIGKILL: then this takes the cluster down.
  # shellcheck disable=SC2016 # expanded by the guard
  setsid bash -c 'cd /; while kill -0 "$1" && [ -e "$2" ]; do sleep 1; done; [ ! -e "$2" ] || { "$3/down.sh" -p -d "$2"; rm -rf "$2"; }' \
    guard $$ "$VCLUSTER_DIR" "$kit" </dev/null >/dev/null 2>&1 &
  disown  # so that no wait waits for it
  variables=$("$kit/up.sh" -n 3 -d "$VCLUSTER_DIR") || die "the virtual cluster does not start"
  eval "$variables"
}
stop_cluster() { (cd / && "$kit/down.sh" -p -d "$VCLUSTER_DIR" && rm -rf "$VCLUSTER_DIR") >/dev/null 2>&1 || echo "the cluster in $VCLUSTER_DIR is not down"; }
bring_nodes_back() { "$kit/up.sh" -d "$VCLUSTER_DIR" >/dev/null || die "a node does not come back"; }

# The smallest job in which a fault can land: prepare EPOCHS writes config.yaml. 6 steps an epoch of the first training.
prepare() {
  cat >"$work/config.yaml" <<YAML
seed: 3
device: cpu
threads: 1
synthetic: {identities: 12, images_per_identity: 12, verification_pairs: 40, verification_identities: 8}
data: {decode_threads: 1}
model: {backbone: tiny, embedding_dim: 32, dropout: 0.2, scale: 32, margin: 0.1}
train: {epochs: $1, batch_size: 24, lr: 0.05, lr_reference_batch: 0, milestones: [$(($1 - 1))], log_every: 10, checkpoint_every: 5, tensorboard: false, eval_every_epochs: 0}
score: {batch_per_rank: 16}
YAML
}

# submit OUTPUT ARGUMENTS...: its job id is in $job.
submit() {
  local output=$1 line
  shift
  line=$("$source_folder/launch/slurm/submit.sh" "$work/config.yaml" --output="$work/$output" "$@") || die "submit.sh failed: $line"
  [[ $line =~ ^job\ ([0-9]+)\  ]] || die "submit.sh printed no job id: $line"
  job=${BASH_REMATCH[1]}
}

field() { scontrol show job -o "$1" | grep -oE "(^| )$2=[^ ]+" | head -n 1 | cut -d= -f2; }
describe_job() { echo "job $1: JobState=$(field "$1" JobState) Restarts=$(field "$1" Restarts) ExitCode=$(field "$1" ExitCode)"; }

# wait_for SECONDS WHAT COMMAND...: until it succeeds.
wait_for() {
  local seconds=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || die "$what: not in $seconds s"
    sleep 0.2
  done
}
state_is() { [[ $(field "$1" JobState) =~ ^($2)$ ]]; }
log_says() { grep -qsE -- "$2" "$work/$1"/slurm/*.log; }
has_step() { [ -e "$work/$1/checkpoints/step_$(printf %08d "$2")/manifest.json" ]; }

# ends JOB STATE EXITCODE-PATTERN [SECONDS]: the job ends so, after any requeues.
ends() {
  wait_for "${4:-600}" "the end of job $1" state_is "$1" 'COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL'
  describe_job "$1"
  [[ "$(field "$1" JobState) $(field "$1" ExitCode)" =~ ^$2\ $3$ ]] || die "job $1 ended with $(field "$1" JobState), exit code $(field "$1" ExitCode); expected $2, $3"
}

# Final weights, scores and kept lists of two runs are the same bytes.
same_results() {
  local file count=0
  for file in $(cd "$work/$1" && find . \( -path './train_*/checkpoints/step_*' -name '*.pth' -o -path './score/scores.h5' -o -path './prune/*.txt' \) | sort); do
    case $file in
      */checkpoints/*) [ "$(dirname "$file")" = "$(cd "$work/$1" && find "${file%/step_*}" -maxdepth 1 -name 'step_????????' | sort | tail -n 1)" ] || continue ;;
    esac
    cmp "$work/$1/$file" "$work/$2/$file" || die "$file of $2 differs from that of $1"
    count=$((count + 1))
  done
  [ "$count" -ge 20 ] || die "only $count files compared"
  echo "$2: $count files (final weights of both trainings, scores, kept lists) equal to $1"
}
