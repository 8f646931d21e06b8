#!/usr/bin/env bash
# Runs that the program of commit 87a60c7 began go on in this one: a training that was killed continues at its checkpoint, a finished one is
# taken as it is. (run_of_87a60c7.tar.xz: pack_older_run.py says how it was made.) older_program.sh PROGRAM WORK_FOLDER
set -euo pipefail
program=$1 work=$2
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work"
. "$here/job.sh"
tar -xJf "$here/run_of_87a60c7.tar.xz" -C "$work"

# The same command as then, on the output that it left. Without cleaning, which would drop nearly all: the numbers of the networks are made up.
go_on() {
  mpirun -np 2 --oversubscribe --bind-to none "$program" run "$here/older_run.yaml" --output="$work/$1" --prune.clean=false >"$log" 2>&1 &
  job=$!
  ends_with 0
  cp "$log" "$work/$1.log"
}
logged() { grep -q "$2" "$work/$1.log" || die "$1: the log does not say '$2'"; }

go_on stopped
# The data set is drawn anew; where a library draws other bytes, the older training was of another set.
drawn=$(grep -o 'dataset=[0-9a-f]*' "$(last_checkpoint "$work/stopped/train_original")/manifest.json" | head -n 1)
tar -xJf "$here/run_of_87a60c7.tar.xz" -C "$work" --transform 's/^/then_/'
then=$(grep -o 'dataset=[0-9a-f]*' "$(last_checkpoint "$work/then_stopped/train_original")/manifest.json" | head -n 1)
if [ "$drawn" != "$then" ]; then
  echo "SKIPPED: this machine's libraries draw another synthetic data set ($drawn, then $then)"
  exit 77
fi
logged stopped 'continues .*step_00000010'

go_on finished
logged finished 'stage train_original: done before, inputs unchanged: skipped'
cmp "$work/finished/train_original/stage.json" "$work/then_finished/train_original/stage.json" || die "stage.json was rewritten"
for name in stopped finished; do
  [ -z "$(find "$work/$name" -name '*.stale-*' -o -name '*.broken')" ] || die "$name: something was set aside"
  [ -s "$work/$name/summary.json" ] || die "$name: no summary"
done
