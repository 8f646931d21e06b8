#!/usr/bin/env bash
# launch/supervise.sh with plain mpirun: a killed rank, a signal, no progress, tries used up, what it refuses. supervise.sh PROGRAM WORK_FOLDER
set -euo pipefail
program=$1 work=$2
here=$(cd "$(dirname "$0")" && pwd)
supervise=$here/../../launch/supervise.sh
rm -rf "$work"
# shellcheck source=tests/launch/resume/job.sh
. "$here/resume/job.sh"

ends() {  # EXIT_CODE ARGUMENTS...
  local wanted=$1 code=0
  shift
  timeout 300 "$supervise" --pause 0 "$@" >"$log" 2>&1 || code=$?
  [ "$code" -eq "$wanted" ] || die "exit code $code, expected $wanted"
}
says() { grep -qE -- "$1" "$log" || die "the log does not say: $1"; }
starts_are() { [ "$(grep -c 'supervise: start ' "$log")" -eq "$1" ] || die "expected $1 starts"; }
training=(mpirun -np 2 --oversubscribe "$program" train "$work/config.yaml" --train.epochs=4 --train.checkpoint_every=2)

# in_the_middle OUTPUT SIGNAL PATTERN: sends it to a process of this test once a training has some checkpoints.
in_the_middle() {
  local target
  for _ in $(seq 600); do
    [ ! -e "$1/checkpoints/step_00000006/manifest.json" ] || break
    sleep 0.1
  done
  target=$(pgrep -f -- "$3" | head -n 1) || die "nothing runs to send SIG$2 to"
  kill "-$2" "$target"
}

killed_rank() {
  in_the_middle "$work/killed" KILL "^$program train .*--output=$work/killed" &
  ends 0 -- "${training[@]}" --output="$work/killed"
  wait
  starts_are 2
  says ': continues .*step_'
  same_weights "$(last_checkpoint "$work/whole")" "$(last_checkpoint "$work/killed")"
}

stopped() {  # SIGTERM to the script: a checkpoint, 75
  in_the_middle "$work/stopped" TERM "bash $supervise .*--output=$work/stopped" &
  ends 75 -- "${training[@]}" --output="$work/stopped"
  wait
  says 'stopped by SIGUSR1'
  ends 0 -- "${training[@]}" --output="$work/stopped"
  same_weights "$(last_checkpoint "$work/whole")" "$(last_checkpoint "$work/stopped")"
}

# stand_in SCRIPT: a program that answers `config` as the real one and does SCRIPT otherwise.
stand_in() {
  mkdir -p "$work/stand_in"
  # shellcheck disable=SC2016 # expanded by the stand-in
  printf '#!/bin/bash\nif [ "$1" = config ]; then exec %q "$@"; fi\n%s\n' "$program" "$1" >"$work/stand_in/diffprob"
  chmod +x "$work/stand_in/diffprob"
}
stand_in_job=(mpirun -np 1 "$work/stand_in/diffprob" train "$work/config.yaml")

no_progress() {
  stand_in 'exit 9'
  ends 76 -- "${stand_in_job[@]}" --output="$work/stuck"
  starts_are 4
  says 'exit code 9, no progress in 3 restarts'
}

tries_used_up() {
  # shellcheck disable=SC2016 # expanded by the script
  stand_in 'mkdir -p '"$work"'/busy/$$; touch '"$work"'/busy/$$/stage.json; exit 9'
  ends 77 --tries 6 -- "${stand_in_job[@]}" --output="$work/busy"
  starts_are 6
}

false_success() {
  stand_in 'exit 0'
  ends 77 --tries 1 -- "${stand_in_job[@]}" --output="$work/nothing"
  says 'ended with 0, but the program did not start'
}

refused() {
  ends 2 -- mpirun -np 1 "$program" train "$work/config.yaml" --train.epcohs=3
  says 'did you mean train.epochs'
  ends 2 -- mpirun -np 1 hostname
  says 'expected: -- mpirun'
  ends 2 --tries none -- "${training[@]}"
  ends 2 --hosts a:1 -- "${training[@]}"
  says '^.*-np: --hosts sets hosts and ranks'
  ends 2
  says 'there is no command'
}

prepare 12
ends 0 -- "${training[@]}" --output="$work/whole"
starts_are 1
for name in killed_rank stopped no_progress tries_used_up false_success refused; do
  begin=$SECONDS
  "$name"
  echo "$name: $((SECONDS - begin)) s"
done
rm -rf "$work"
echo "passed"
