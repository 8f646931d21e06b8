#!/usr/bin/env bash
# Starts a job again from its last checkpoint when a rank or a host is lost, without a scheduler: launch/supervise.sh --help
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=launch/environment.sh
. "$root/launch/environment.sh"
# shellcheck source=launch/restarts.sh
. "$root/launch/restarts.sh"

usage() {
  cat <<'TEXT'
launch/supervise.sh [options] -- mpirun [OPTION...] diffprob COMMAND [CONFIG] [--key=value ...]

  launch/supervise.sh -- mpirun -np 8 build/release/diffprob run CONFIG --output=/data/runs/a
  launch/supervise.sh --hosts gpu1:8,gpu2:8 -- mpirun -x NCCL_SOCKET_IFNAME build/release/diffprob run CONFIG --output=/shared/runs/a

Runs the command; when it fails, runs it again: finished stages are skipped, and training resumes from its last checkpoint.

  --hosts HOST:RANKS,...   hosts and their ranks. Before every start each host is contacted (by ssh, or what OMPI_MCA_plm_rsh_agent
                           names); the job runs on those that answer. --host and -np are added to the command, which must not have them
  --tries N                total number of starts (10)
  --pause SECONDS          before a restart (5)
  --stop-seconds SECONDS   for the ranks to write a checkpoint after a signal, before they are killed (300)

SIGINT, SIGTERM and SIGUSR1 to this script ask the ranks for a checkpoint; a second signal ends them immediately.
Exit codes: 0 done; 2 bad usage or configuration; 75 stopped after a checkpoint (a signal, or train.max_time); 76 no progress in 3 restarts
in a row (DIFFPROB_NO_PROGRESS_RESTARTS); 77 all tries used up; else that of the last start, when a signal cut it short.
TEXT
}
say() { printf '%s supervise: %s\n' "$(date '+%F %T')" "$*" >&2; }
die() { say "$*"; exit "$exit_bad_usage"; }

hosts=() tries=10 pause=5 stop_seconds=300
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --hosts | --tries | --pause | --stop-seconds) [ $# -gt 1 ] || die "$1: a value is missing" ;;
    *) die "$1: unknown option (--help lists them; the command comes after --)" ;;
  esac
  case $1 in
    --hosts) IFS=, read -ra hosts <<<"$2" ;;
    --tries) tries=$2 ;;
    --pause) pause=$2 ;;
    --stop-seconds) stop_seconds=$2 ;;
  esac
  shift 2
done
[ $# -gt 1 ] || die "there is no command after -- (--help)"
shift
[[ $tries =~ ^[1-9][0-9]*$ ]] || die "--tries: expected a number above 0, got \"$tries\""
[[ $pause =~ ^[0-9]+$ ]] || die "--pause: expected seconds, got \"$pause\""
[[ $stop_seconds =~ ^[1-9][0-9]*$ ]] || die "--stop-seconds: expected a number above 0, got \"$stop_seconds\""
for host in "${hosts[@]}"; do
  [[ $host =~ ^[^:]+:[1-9][0-9]*$ ]] || die "--hosts: expected HOST:RANKS, got \"$host\""
done

# The command: launcher, its options, the program, its arguments.
command=("$@")
at=-1
for i in "${!command[@]}"; do
  if [ "$(basename -- "${command[i]}")" = diffprob ]; then
    at=$i
    break
  fi
  case ${command[i]} in
    --host | -host | -H | --hostfile | -hostfile | --machinefile | -np | -n | --np | -c)
      [ ${#hosts[@]} -eq 0 ] || die "${command[i]}: --hosts sets hosts and ranks, remove it from the command"
      ;;
  esac
done
[ "$at" -gt 0 ] || die "expected: -- mpirun [OPTION...] diffprob COMMAND ..., got: ${command[*]}"
program=("${command[at]}")
output=$(output_of "${command[@]:at+1}") || exit "$exit_bad_usage"
mkdir -p "$output"

signals=0

# The first signal: a checkpoint (mpirun passes SIGUSR1 on; at SIGTERM it kills the ranks). The second one: the end.
on_signal() {
  interrupted=yes
  signals=$((signals + 1))
  say "signal: $([ "$signals" -eq 1 ] && echo "the ranks write a checkpoint and end" || echo "the ranks end immediately")"
  [ -n "$child" ] || return 0
  if [ "$signals" -gt 1 ]; then
    kill -TERM "$child" 2>/dev/null || true
    return 0
  fi
  kill -USR1 "$child" 2>/dev/null || true
  end_child_in "$stop_seconds"
}
trap on_signal INT TERM USR1

# answering: those of the hosts that answer within 10 s, as "HOST:RANKS" lines in the given order.
answering() {
  local i pids=() agent
  read -ra agent <<<"${OMPI_MCA_plm_rsh_agent:-ssh -o BatchMode=yes -o ConnectTimeout=8}"
  for i in "${!hosts[@]}"; do
    timeout -k 1 10 "${agent[@]}" "${hosts[i]%:*}" true </dev/null >/dev/null 2>&1 &
    pids+=($!)
  done
  for i in "${!hosts[@]}"; do
    if wait "${pids[i]}"; then echo "${hosts[i]}"; fi
  done
}

# place: sets line to the command for the hosts that answer. Fails when none does.
place() {
  local up host ranks=0
  line=("${command[@]}")
  [ ${#hosts[@]} -gt 0 ] || return 0
  mapfile -t up < <(answering)
  for host in "${hosts[@]}"; do
    [[ " ${up[*]} " == *" $host "* ]] || say "$host does not answer: skipped"
  done
  [ ${#up[@]} -gt 0 ] || return 1
  for host in "${up[@]}"; do ranks=$((ranks + ${host#*:})); done
  line=("${command[0]}" --host "$(IFS=,; echo "${up[*]}")" -np "$ranks" "${command[@]:1}")
}

# run: the command in a session of its own, so that Ctrl-C comes here first. Its exit code is in $code.
run() {
  setsid "${line[@]}" </dev/null &
  child=$!
  await_child
}

rm -f "$output/restarts"
open_restarts "$output/restarts"
while true; do
  note_start "$output"
  say "start $starts of at most $tries; output: $output"
  code=1
  stamp=$(launch_stamp "$output")
  if place; then
    if [ "$signals" -eq 0 ]; then run; else code=$exit_again; fi
  else
    say "no host answers"
  fi
  if [ "$code" -eq 0 ] && [ "$stamp" = "$(launch_stamp "$output")" ]; then
    say "the launcher ended with 0, but the program did not start"
    code=1
  fi
  case $code in
    0) say "done after $starts start(s)"; exit 0 ;;
    "$exit_bad_usage") exit "$exit_bad_usage" ;;
    "$exit_again") say "stopped after a checkpoint: run the same command again to resume"; exit "$exit_again" ;;
  esac
  if [ "$signals" -gt 0 ]; then
    say "ended with exit code $code after a signal: run the same command again to resume from the last checkpoint"
    exit "$code"
  fi
  if ! may_restart "$output"; then
    say "exit code $code, no progress in $no_progress_restarts restarts: not restarted. Look for the error above."
    exit "$exit_no_progress"
  fi
  if [ "$starts" -ge "$tries" ]; then
    say "exit code $code, all $tries tries are used up. Run the same command again to resume."
    exit "$exit_restarts_used_up"
  fi
  say "exit code $code: starts again in $pause s"
  sleep "$pause"
done
