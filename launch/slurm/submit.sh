#!/usr/bin/env bash
# Checks a configuration and submits it to Slurm: launch/slurm/submit.sh --help
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
  cat <<'TEXT'
launch/slurm/submit.sh CONFIG --nodes N (--gpus-per-node G | --tasks-per-node T) --time HH:MM:SS [options] [KEY=VALUE ...]

Checks CONFIG with the program's --dry-run, submits the job and prints its id. KEY=VALUE (or --KEY=VALUE) are keys of the configuration:
  launch/slurm/submit.sh ms1mv2.yaml --nodes 4 --gpus-per-node 8 --time 24:00:00 output=/shared/runs/ms1mv2 train.epochs=20

  --job run|train|sweep     the whole pipeline (default), one training, or a sweep: a job for the trainings on all images, an array with
                            one task per cell (method x ratio, all its seeds), a job for the table
  --tasks-per-node T        ranks per node; default: --gpus-per-node. Without GPUs, ranks compute on CPUs
  --cpus-per-task C         cores per rank
  --partition P, --account A, --qos Q, --name NAME   as for sbatch
  --sbatch OPTION           any other option of sbatch, as one word: --sbatch=--constraint=h100 (may be repeated)
  --max-cells M             sweep: cells that run at a time
  --launcher srun|mpirun    default: srun, or the cluster settings
  --lead SECONDS            time before the limit at which the ranks are told to write a checkpoint (180)
  --cluster-env FILE        settings of the cluster (default: launch/slurm/cluster.env; see cluster.env.example)
  --check files|config      files (default): also open the data from this machine; config: only the keys
  --show                    only print the commands

Logs are OUTPUT/slurm/NAME-JOB.log; every start of a job appends. Exit codes: 0 submitted, 2 bad usage or configuration, 1 Slurm refused.
TEXT
}
die() { printf 'submit.sh: %s\n' "$*" >&2; exit 2; }

kind=run config='' nodes='' gpus='' tasks='' time='' name='' cells_at_once='' lead=180 check=files show=no
overrides=() sbatch_options=()
cluster_env=$here/cluster.env

# Both --nodes 4 and --nodes=4.
while [ $# -gt 0 ]; do
  option=$1
  shift
  case $option in
    --help | -h) usage; exit 0 ;;
    --show) show=yes; continue ;;
    --job | --nodes | --gpus-per-node | --tasks-per-node | --cpus-per-task | --time | --partition | --account | --qos | --name | --sbatch | \
      --max-cells | --launcher | --lead | --cluster-env | --check)
      [ $# -gt 0 ] || die "$option: a value is missing (--help lists the options)"
      value=$1
      shift
      ;;
    --job=* | --nodes=* | --gpus-per-node=* | --tasks-per-node=* | --cpus-per-task=* | --time=* | --partition=* | --account=* | --qos=* | \
      --name=* | --sbatch=* | --max-cells=* | --launcher=* | --lead=* | --cluster-env=* | --check=*)
      value=${option#*=}
      ;;
    --*=*) overrides+=("$option"); continue ;;
    -*) die "$option: unknown option (--help lists them; keys of the configuration are KEY=VALUE)" ;;
    *=*) overrides+=("--$option"); continue ;;
    *)
      [ -z "$config" ] || die "expected one configuration file, got $config and $option"
      config=$option
      continue
      ;;
  esac
  case ${option%%=*} in
    --job) kind=$value ;;
    --nodes) nodes=$value ;;
    --gpus-per-node) gpus=$value ;;
    --tasks-per-node) tasks=$value ;;
    --time) time=$value ;;
    --name) name=$value ;;
    --max-cells) cells_at_once=$value ;;
    --launcher) export DIFFPROB_LAUNCHER=$value ;;
    --lead) lead=$value ;;
    --cluster-env) cluster_env=$value ;;
    --check) check=$value ;;
    --sbatch) sbatch_options+=("$value") ;;
    *) sbatch_options+=("${option%%=*}=$value") ;;  # partition, account, qos, cpus-per-task: called so by sbatch as well
  esac
done

number() { [[ $2 =~ ^[1-9][0-9]*$ ]] || die "$1: expected a number above 0, got \"$2\""; }
[ -n "$config" ] || die "a configuration file is missing (--help)"
[ -r "$config" ] || die "$config: cannot be read"
[[ $kind =~ ^(run|train|sweep)$ ]] || die "--job: expected run, train or sweep, got \"$kind\""
[[ $check =~ ^(files|config)$ ]] || die "--check: expected files or config, got \"$check\""
[[ ${DIFFPROB_LAUNCHER:-srun} =~ ^(srun|mpirun)$ ]] || die "--launcher: expected srun or mpirun, got \"$DIFFPROB_LAUNCHER\""
[ -n "$time" ] || die "--time is missing"
number --nodes "$nodes"
tasks=${tasks:-$gpus}
[ -n "$tasks" ] || die "give --gpus-per-node, or --tasks-per-node for ranks on CPUs"
number --tasks-per-node "$tasks"
[ -z "$gpus" ] || number --gpus-per-node "$gpus"
number --lead "$lead"
[ -z "$cells_at_once" ] || number --max-cells "$cells_at_once"
[ "$show" = yes ] || command -v sbatch >/dev/null || die "sbatch is missing on this machine"

DIFFPROB_CONTAINER=()
if [ -e "$cluster_env" ]; then
  cluster_env=$(realpath "$cluster_env")
  export DIFFPROB_CLUSTER_ENV=$cluster_env
  # shellcheck source=launch/slurm/cluster.env.example
  . "$cluster_env"
elif [ "$cluster_env" != "$here/cluster.env" ]; then
  die "$cluster_env: no such file"
fi
# shellcheck source=launch/environment.sh
. "$root/launch/environment.sh"
# shellcheck source=launch/restarts.sh
. "$root/launch/restarts.sh"
program=("${DIFFPROB_CONTAINER[@]}" "${DIFFPROB_PROGRAM:-$root/build/release/diffprob}")
config=$(realpath "$config")

# --- The check. The device is that of the nodes, not of this machine.
output=$(output_of "$kind" "$config" "${overrides[@]}") || exit "$exit_bad_usage"
output=$(realpath -m "$output")
overrides+=("--output=$output")
plan=''
if [ "$check" = files ] || [ "$kind" = sweep ]; then
  code=0
  plan=$(timeout 600 "${program[@]}" "$kind" "$config" "${overrides[@]}" --device=cpu --dry-run 2>&1) || code=$?
  if [ "$code" -ne 0 ]; then
    printf '%s\n' "$plan" >&2
    echo "submit.sh: nothing was submitted. If only the nodes can read the data, use --check config." >&2
    exit "$exit_bad_usage"
  fi
fi

# --- Submitting
export DIFFPROB_ROOT=$root DIFFPROB_STOP_SECONDS=$((lead > 60 ? lead - 30 : (lead + 1) / 2))
common=(--nodes="$nodes" --ntasks-per-node="$tasks" ${gpus:+--gpus-per-node="$gpus"} --time="$time" --signal="B:USR1@$lead" --requeue
  --open-mode=append --export=ALL --chdir="$PWD" "${sbatch_options[@]}")

# submit LABEL NAME-SUFFIX SBATCH-OPTION... -- ARGUMENT...: its job id is in $id.
submit() {
  local label=$1 title=${name:-diffprob-$kind}$2 options=() log=%j
  shift 2
  while [ "$1" != -- ]; do
    [[ $1 != --array=* ]] || log=%A_%a
    options+=("$1")
    shift
  done
  shift
  local command=(sbatch --parsable --job-name="$title" --output="$output/slurm/$title-$log.log" "${common[@]}" "${options[@]}"
    "$here/$kind.sbatch" "$config" "${overrides[@]}" "$@")
  if [ "$show" = yes ]; then
    printf '%q ' "${command[@]}"
    echo
    id=JOB
    return
  fi
  id=$("${command[@]}") || { echo "submit.sh: Slurm refused the job ($label)" >&2; exit 1; }
  id=${id%%;*}
  log=${log/\%j/$id}
  echo "job $id  $label  log: $output/slurm/$title-${log/\%A/$id}.log"
}

[ "$show" = yes ] || mkdir -p "$output/slurm"
if [ "$kind" != sweep ]; then
  submit "$kind" '' --
  exit 0
fi
cells=$(sed -nE 's/^ *cell ([1-9][0-9]*): .* in (.*)$/\1 \2/p' <<<"$plan")
[ "$show" = yes ] || printf '%s\n' "$cells" >"$output/slurm/cells.txt"
count=$(wc -l <<<"$cells")
after=(--kill-on-invalid-dep=yes)
submit "trainings on all images, scores" -all -- --sweep.cell=0
submit "$count cells" -cells --array="1-$count${cells_at_once:+%$cells_at_once}" --dependency="afterok:$id" "${after[@]}" --
submit "table" -table --dependency="afterok:$id" "${after[@]}" --
