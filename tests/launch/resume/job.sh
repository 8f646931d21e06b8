# Sourced by the resume tests: a small training as users start it. Needs $program, $work.
export OMP_NUM_THREADS=1
mkdir -p "$work"
log=$work/log
. "$(dirname "${BASH_SOURCE[0]}")/../program.sh"

# The data set and the configuration; steps of an epoch: 6. prepare [IDENTITIES], 12 images each.
prepare() {
  "$program" data synth "$work/data" --synthetic.identities="${1:-12}" --synthetic.images_per_identity=12 --synthetic.verification_pairs=20 \
    --synthetic.verification_identities=4 --seed=3 >"$log" 2>&1 || die "no data"
  cat >"$work/config.yaml" <<YAML
seed: 3
device: cpu
threads: 1
data: {train: $work/data, decode_threads: 1}
model: {backbone: tiny, embedding_dim: 32, dropout: 0.2, scale: 32, margin: 0.1}
train: {batch_size: 24, lr: 0.05, lr_reference_batch: 0, milestones: [3], log_every: 1, tensorboard: false, trace_order: true}
YAML
}

# start RANKS OUTPUT ARGUMENTS...: in the background; $job is mpirun's process id.
start() {
  local ranks=$1 output=$2
  shift 2
  mpirun -np "$ranks" --oversubscribe --bind-to none "$program" train "$work/config.yaml" --output="$output" "$@" >"$log" 2>&1 &
  job=$!
}

# Exit code of the job, which must end in two minutes.
ends_with() {
  local wanted=$1 code=0
  for _ in $(seq 1200); do
    kill -0 "$job" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$job" 2>/dev/null; then
    kill -KILL "$job"
    die "the job did not end"
  fi
  wait "$job" || code=$?
  [ "$wanted" = any ] || [ "$code" -eq "$wanted" ] || die "exit code $code, expected $wanted"
  job_code=$code
}

# Process id of a random rank, once all are there; empty when the job has ended.
random_rank() {
  local wanted=$1 ids=()
  for _ in $(seq 200); do
    mapfile -t ids < <(pgrep -P "$job" || true)
    [ "${#ids[@]}" -ge "$wanted" ] && break
    kill -0 "$job" 2>/dev/null || break
    sleep 0.02
  done
  [ "${#ids[@]}" -ge "$wanted" ] && echo "${ids[RANDOM % wanted]}"
  return 0
}

last_checkpoint() { find "$1/checkpoints" -maxdepth 1 -name 'step_*[0-9]' | sort | tail -n 1; }

same_weights() {
  local wanted=$1 found=$2 file
  [ "$(basename "$wanted")" = "$(basename "$found")" ] || die "ended with $found, expected $(basename "$wanted")"
  [ "$(find "$wanted" -name '*.pth' | wc -l)" -ge 4 ] || die "$wanted has too few files"
  for file in "$wanted"/*.pth; do
    cmp "$file" "$found/$(basename "$file")" >>"$log" 2>&1 || die "$(basename "$file") differs from the unbroken run"
  done
}
