#!/usr/bin/env bash
# When launch/slurm starts a job again and when not, on a real Slurm: a crash in MPI_Init, no progress, too many time limits, scancel, a
# launch that fails with exit code 0, bad configurations; and a sweep as three jobs. rules.sh PROGRAM WORK_FOLDER
set -euo pipefail
# shellcheck disable=SC2034 # for cluster.sh
program=$1 work=$2
# shellcheck source=tests/launch/cluster/cluster.sh
. "$(dirname "$0")/cluster.sh"
size=(--nodes 1 --tasks-per-node 2)
export DIFFPROB_EARLY_PAUSES="1 1" DIFFPROB_EARLY_SECONDS=300

refused() {  # MESSAGE ARGUMENTS...: submit.sh ends with 2 and says so
  local message=$1 code=0 said
  shift
  said=$("$source_folder/launch/slurm/submit.sh" "$@" 2>&1) || code=$?
  [ "$code" -eq 2 ] || die "submit.sh $*: exit code $code, expected 2: $said"
  [[ $said == *"$message"* ]] || die "submit.sh $*: does not say \"$message\" but: $said"
}

# cluster_env NAME TEXT: settings NAME.env whose container is a script that stands before the program.
cluster_env() {
  printf '#!/bin/bash\n%s\nexec "$@"\n' "$2" >"$work/$1.sh"
  chmod +x "$work/$1.sh"
  printf 'DIFFPROB_CONTAINER=(%s)\n' "$work/$1.sh" >"$work/$1.env"
}

bad_configurations() {
  refused "--time is missing" config.yaml --nodes 1 --tasks-per-node 2
  refused "--nodes: expected a number above 0, got \"x\"" config.yaml --nodes x --tasks-per-node 2 --time 1
  refused "--nodse: unknown option" config.yaml --nodse 1
  refused "train.batch_siez: unknown key, did you mean train.batch_size?" config.yaml "${size[@]}" --time 1 train.batch_siez=3
  refused "nothing was submitted" config.yaml "${size[@]}" --time 1 data.train=/nonexistent
  [ -z "$(squeue -h)" ] || die "something was submitted"
}

crash_in_place() {  # one rank dies before MPI_Init; the job ends well without going through the queue
  # shellcheck disable=SC2016 # expanded by the script
  cluster_env crash 'if [ "$2" = train ] && mkdir "$0.crashed" 2>/dev/null; then kill -SEGV $$; fi'
  submit crash "${size[@]}" --time 10 --job train --cluster-env crash.env --check config data.train="$work/data"
  ends "$job" COMPLETED 0:0
  [ "$(field "$job" Restarts)" = 0 ] || die "it went through the queue"
  log_says crash 'starts again in place .*\(1 of 2\)' || die "the log does not say that it was started in place"
}

no_progress() {  # always dies: start, 2 in place, requeued, then the end
  # shellcheck disable=SC2016 # expanded by the script
  cluster_env stuck 'if [ "$2" = train ]; then echo "this program always dies"; exit 9; fi'
  submit stuck "${size[@]}" --time 10 --job train --cluster-env stuck.env --check config
  ends "$job" FAILED 76:0
  [ "$(field "$job" Restarts)" = 1 ] || die "restarts by Slurm: $(field "$job" Restarts), expected 1"
  [ "$(grep -hc 'this program always dies' stuck/slurm/*.log)" -eq 8 ] || die "expected 4 starts of 2 ranks"
  log_says stuck 'no progress in 3 restarts' || die "the log does not say why it was given up"
}

false_success() {  # a launch that fails with exit code 0
  # shellcheck disable=SC2016 # expanded by the script
  cluster_env nothing 'if [ "$2" = train ]; then exit 0; fi'
  DIFFPROB_NO_PROGRESS_RESTARTS=1 submit nothing "${size[@]}" --time 10 --job train --cluster-env nothing.env --check config
  ends "$job" FAILED 76:0
  log_says nothing 'ended with 0, but the program did not start' || die "the log does not say that nothing ran"
}

time_limits_used_up() {
  DIFFPROB_MAX_TIMEOUTS=0 submit late "${size[@]}" --time 10 --job train data.train="$work/data" train.epochs=200
  wait_for 300 "step 5" has_step late 5
  scancel --batch --signal=USR1 "$job"
  ends "$job" FAILED 77:0
  log_says late 'stopped by SIGUSR1' || die "no checkpoint"
}

cancelled() {
  submit cancelled "${size[@]}" --time 10 --job train data.train="$work/data" train.epochs=200
  wait_for 300 "step 5" has_step cancelled 5
  scancel "$job"
  ends "$job" CANCELLED '[0-9:]*'
  sleep 2
  [ "$(field "$job" JobState)" = CANCELLED ] || die "a cancelled job came back"
}

sweep() {
  local jobs
  jobs=$("$source_folder/launch/slurm/submit.sh" config.yaml --job sweep "${size[@]}" --time 10 --max-cells 2 --output="$work/sweep" \
    sweep.methods=diffprob sweep.ratios=0.5 train.epochs=1) || die "submit.sh failed: $jobs"
  echo "$jobs"
  while read -r _ job _; do ends "$job" COMPLETED 0:0; done <<<"$jobs"
  [ -s sweep/sweep.txt ] || die "no table"
  [ "$(grep -hc 'inputs unchanged: skipped' sweep/slurm/*-table-*.log)" -eq 7 ] || die "the table did not find all stages done"
}

start_cluster
prepare 1
"$program" data synth "$work/data" --synthetic.identities=12 --synthetic.images_per_identity=12 --synthetic.verification_pairs=20 --seed=3 >data.log
bad_configurations
# They wait most of the time: side by side.
cases=(crash_in_place no_progress false_success time_limits_used_up cancelled sweep)
declare -A running
for name in "${cases[@]}"; do
  ("$name") >"$name.said" 2>&1 &
  running[$name]=$!
done
failed=0
for name in "${cases[@]}"; do
  if wait "${running[$name]}"; then echo "passed: $name"; else failed=1; echo "failed: $name"; fi
  cat "$name.said"
done
[ "$failed" -eq 0 ] || exit 1
rm -rf "$work"
echo "passed in $SECONDS s"
