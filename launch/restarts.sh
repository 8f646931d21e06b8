# shellcheck shell=bash
# Sourced by slurm/job.sh and supervise.sh: whether a job that ended is started again.
#
# A restart has made progress when the next start finds in the output folder what no earlier start of this job found: a finished stage, a
# newer whole checkpoint, another whole part of a scoring. After $no_progress_restarts restarts in a row without, the job is given up.
# What was found is noted in a small file, which appears whole or not at all.

# shellcheck disable=SC2034 # for the scripts that source this file
readonly exit_bad_usage=2 exit_again=75 exit_no_progress=76 exit_restarts_used_up=77

no_progress_restarts=${DIFFPROB_NO_PROGRESS_RESTARTS:-3}

# output_of COMMAND [CONFIG] [--key=value ...]: the output folder of that command line of ${program[@]}. Its problems go to stderr.
output_of() {
  local word words=() text
  shift
  for word in "$@"; do
    case $word in
      --*=* | [!-]*) words+=("$word") ;;
    esac
  done
  # shellcheck disable=SC2154 # an array of the script that sources this file: container, if any, and program
  text=$("${program[@]}" config "${words[@]}") || return "$exit_bad_usage"
  sed -nE 's/^output: "(.*)"$/\1/p' <<<"$text"
}

# progress_state FOLDER: a digest of how far the job in this folder is.
progress_state() {
  # find fails when files go while it looks, or when there is no folder yet.
  { find "$1" -name '*.stale-*' -prune -o -type f \( -name stage.json -o -path '*/checkpoints/step_*/manifest.json' -o -name 'part.*' \) -print 2>/dev/null || true; } |
    awk -F/ '
      $NF == "stage.json" { print }
      $NF == "manifest.json" && $(NF - 1) ~ /^step_[0-9]+$/ {
        folder = $0
        sub(/step_[0-9]+\/manifest\.json$/, "", folder)
        if ($(NF - 1) > newest[folder]) newest[folder] = $(NF - 1)
      }
      $NF ~ /^part\.[0-9]+-[0-9]+\.[0-9]+-of-[0-9]+$/ {  # a part is whole when the files of all ranks are there
        ranks = part = $0
        sub(/.*-of-/, "", ranks)
        sub(/\.[0-9]+-of-/, ".of-", part)
        if (++files[part] == ranks + 0) print part
      }
      END { for (folder in newest) print folder newest[folder] }' |
    sort | sha256sum | cut -c1-16
}

# open_restarts FILE: reads what was noted before, if anything. Sets starts, without_progress, timeouts, seen.
open_restarts() {
  local key value
  restarts_file=$1 starts=0 without_progress=0 timeouts=0 seen=()
  mkdir -p "$(dirname "$restarts_file")"
  [ -e "$restarts_file" ] || return 0
  while read -r key value; do
    case $key in
      starts) starts=$value ;;
      without_progress) without_progress=$value ;;
      timeouts) timeouts=$value ;;
      seen) seen+=("$value") ;;
    esac
  done <"$restarts_file"
}

write_restarts() {
  local temporary=$restarts_file.tmp.$HOSTNAME.$$
  {
    printf 'starts %d\nwithout_progress %d\ntimeouts %d\n' "$starts" "$without_progress" "$timeouts"
    printf 'seen %s\n' "${seen[@]}"
  } >"$temporary" && sync "$temporary" && mv "$temporary" "$restarts_file"
}

found_before() {
  local state
  for state in "${seen[@]}"; do
    [ "$state" != "$1" ] || return 0
  done
  return 1
}

# note_start FOLDER: one more start. without_progress: starts in a row before this one that changed nothing in FOLDER.
note_start() {
  local state
  state=$(progress_state "$1")
  if found_before "$state"; then
    without_progress=$((without_progress + 1))
  else
    without_progress=0
    seen+=("$state")
  fi
  starts=$((starts + 1))
  write_restarts
}

# may_restart FOLDER: after a start that failed: whether another one is allowed.
may_restart() {
  [ "$without_progress" -lt "$no_progress_restarts" ] || ! found_before "$(progress_state "$1")"
}

# launch_stamp FOLDER: changes when the program starts: rank 0 writes config.yaml anew. A failed launch may return 0, without it.
launch_stamp() { stat -c '%i %y' "$1/config.yaml" 2>/dev/null || echo none; }

# The command that runs: its process id is in $child, set by the caller; $interrupted is set to yes by every signal with a trap.
child='' interrupted=no watchdog=''

# end_child_in SECONDS: SIGTERM then, SIGKILL 10 s later, if it still runs.
end_child_in() {
  local pid=$child seconds=$1
  (
    sleep "$seconds"
    kill -TERM "$pid"
    sleep 10
    kill -KILL "$pid"
  ) >/dev/null 2>&1 &
  watchdog=$!
}

# await_child: its exit code is in $code.
await_child() {
  interrupted=yes
  while [ "$interrupted" = yes ]; do  # bash returns from wait for every signal with a trap
    interrupted=no code=0
    wait "$child" || code=$?
  done
  child=''
  if [ -n "$watchdog" ]; then kill "$watchdog" 2>/dev/null || true; fi
}
