# shellcheck shell=bash
# Sourced by the batch scripts: one start of a job on its nodes, and what follows from how it ended.
#
#   ended with                      then
#   0                               done (if the program really ran: a failed launch may return 0)
#   2  bad usage or configuration   ends with 2
#   75 stopped after a checkpoint   requeued: preemption, train.max_time
#   anything after SIGUSR1          requeued: the time limit is near; at most $DIFFPROB_MAX_TIMEOUTS times, then ends with 77
#   other, in its first minute      started again in place, a few times ($DIFFPROB_EARLY_PAUSES); then requeued
#   other                           requeued
#   no progress in 3 restarts       ends with 76, whatever the reason of the restarts
#
# Settings (environment, or cluster.env): see cluster.env.example.

say() { printf '%s slurm: %s\n' "$(date '+%F %T')" "$*" >&2; }

root=${DIFFPROB_ROOT:-$SLURM_SUBMIT_DIR}
settings=${DIFFPROB_CLUSTER_ENV:-$root/launch/slurm/cluster.env}
DIFFPROB_CONTAINER=() DIFFPROB_SRUN_OPTIONS=() DIFFPROB_MPIRUN_OPTIONS=()
if [ -e "$settings" ]; then
  # shellcheck source=launch/slurm/cluster.env.example
  . "$settings"
fi
# shellcheck source=launch/environment.sh
. "$root/launch/environment.sh"
# shellcheck source=launch/restarts.sh
. "$root/launch/restarts.sh"

program=("${DIFFPROB_CONTAINER[@]}" "${DIFFPROB_PROGRAM:-$root/build/release/diffprob}")
launcher_name=${DIFFPROB_LAUNCHER:-srun}
max_timeouts=${DIFFPROB_MAX_TIMEOUTS:-20}
stop_seconds=${DIFFPROB_STOP_SECONDS:-150}
early_seconds=${DIFFPROB_EARLY_SECONDS:-60}
read -ra early_pauses <<<"${DIFFPROB_EARLY_PAUSES:-5 60}"
# In an array SLURM_JOB_ID of one task is that of the whole array.
job=${SLURM_JOB_ID:?this is a batch script: use sbatch or launch/slurm/submit.sh}
if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi

asked_to_stop=no ended_by_slurm=no

# The time limit is near: the ranks write a checkpoint and end. If they do not, the last checkpoint has to do.
on_time_limit() {
  interrupted=yes
  [ "$asked_to_stop" = no ] || return 0
  asked_to_stop=yes
  say "SIGUSR1: the time limit is near"
  [ -n "$child" ] || return 0
  kill -USR1 "$child" 2>/dev/null || true
  end_child_in "$stop_seconds"
}
trap on_time_limit USR1
trap 'interrupted=yes ended_by_slurm=yes' TERM  # Slurm sends it to the ranks as well: wait for them

# launch COMMAND ...: all ranks; its exit code is in $code.
launch() {
  local launcher
  if [ "$launcher_name" = mpirun ]; then
    launcher=(mpirun "${DIFFPROB_MPIRUN_OPTIONS[@]}")
  else
    # --wait: a rank that is gone takes the others along; not at once, they may be about to report.
    launcher=(srun --mpi="${DIFFPROB_SRUN_MPI:-pmix}" --kill-on-bad-exit=0 --wait=20
      ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} "${DIFFPROB_SRUN_OPTIONS[@]}")
  fi
  "${launcher[@]}" "${program[@]}" "$@" &
  child=$!
  await_child
}

give_up() {
  say "no progress in $no_progress_restarts restarts: the job is not restarted. Look for the error above; what is finished stays in $output."
  exit "$exit_no_progress"
}

# The state of this job; what the ranks ended with may be the same for a failure and for what Slurm does.
job_says() { [[ $(scontrol show job -o "$job" 2>/dev/null) =~ $1 ]]; }
# Cancelled, or beyond its time limit. A preempted job keeps running until its grace time is over.
is_ending() { job_says 'JobState=(COMPLETING|CANCELLED|TIMEOUT)'; }
is_preempted() { [ "$ended_by_slurm" = yes ] || job_says ' PreemptTime=[0-9]'; }

requeue_is_configured() {
  local codes code
  codes=$(scontrol show config 2>/dev/null | sed -nE 's/^RequeueExit *= *([0-9,-]+) *$/\1/p')
  for code in ${codes//,/ }; do
    [ "${code%-*}" -gt "$exit_again" ] || [ "${code#*-}" -lt "$exit_again" ] || return 0
  done
  return 1
}

requeue() {  # REASON
  if is_ending; then
    say "$1; Slurm is ending this job (cancelled, or over its time limit): not restarted. Submit it again to resume."
    exit "$exit_again"
  fi
  may_restart "$watched" || give_up
  say "$1; the job goes back into the queue"
  if ! requeue_is_configured; then
    trap - TERM USR1
    scontrol requeue "$job" && sleep 300  # Slurm ends this shell
  fi
  exit "$exit_again"
}

count_timeout() {
  timeouts=$((timeouts + 1))
  write_restarts
  [ "$timeouts" -le "$max_timeouts" ] && return 0
  say "the time limit was reached $timeouts times, but only $max_timeouts are allowed: not restarted. Submit it again to resume."
  exit "$exit_restarts_used_up"
}

# really_ran STAMP: after exit code 0. (The cells of a sweep share a folder, so a neighbour may hide it; the table's job makes what is missing.)
really_ran() {
  [ "$1" != "$(launch_stamp "$output")" ] && return 0
  say "the launcher ended with 0, but the program did not start"
  return 1
}

# run_job COMMAND CONFIG [--key=value ...]: does not return.
run_job() {
  local early=0 started stamp took
  output=$(output_of "$@") || exit "$exit_bad_usage"
  watched=${watched:-$output}
  open_restarts "$output/slurm/restarts.$job"
  while true; do
    note_start "$watched"
    say "job $job, start $starts, $launcher_name on ${SLURM_JOB_NODELIST:-?}; starts in a row without progress: $without_progress, time limits: $timeouts"
    [ "$without_progress" -le "$no_progress_restarts" ] || give_up
    started=$SECONDS stamp=$(launch_stamp "$output") code=$exit_again
    if [ "$asked_to_stop" = no ]; then launch "$@"; fi
    took=$((SECONDS - started))
    if [ "$code" -eq 0 ] && really_ran "$stamp"; then
      say "job $job is done"
      exit 0
    fi
    [ "$code" -ne "$exit_bad_usage" ] || exit "$exit_bad_usage"
    if [ "$asked_to_stop" = yes ]; then
      count_timeout
      requeue "stopped for the time limit, exit code $code"
    fi
    [ "$code" -ne "$exit_again" ] || requeue "stopped after a checkpoint"
    may_restart "$watched" || give_up
    if [ "$took" -lt "$early_seconds" ] && [ "$early" -lt "${#early_pauses[@]}" ] && ! is_ending && ! is_preempted; then
      say "ended with exit code $code after $took s: starts again in place in ${early_pauses[early]} s ($((early + 1)) of ${#early_pauses[@]})"
      sleep "${early_pauses[early]}"
      early=$((early + 1))
    else
      requeue "ended with exit code $code after $took s"
    fi
  done
}
