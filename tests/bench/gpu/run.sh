#!/usr/bin/env bash
# On the machine with the GPU: unpacks build/gpu/pack.tar.xz (made by pack.sh) and runs what it is asked to.
#   run.sh tests [NAME...]     tests of the label gpu on the first GPU, side by side; last line: "N passed, N failed"
#   run.sh tests2 [NAME...]    the same with two ranks that share the GPU, by NCCL over sockets: those of the tests that take two
#   run.sh tests4 [NAME...]    the same with four ranks
#   run.sh backlog             what no GPU has run yet, in about 8 minutes: tests on one and two ranks, a step with each kernel of
#                              train.untried_kernels, cuDNN's plans, both eager peers, kernels of a step, the quickstart's whole job
#   run.sh faults              trainings of two ranks on the GPU, captured steps and plain ones; one rank is stopped or killed on its way:
#                              how long until all have ended. A line of JSON each; the deadline of a step is 20 s
#   run.sh benches [--quick] [train] [head] [score]
#                              ours and the peer, one after the other, all of them or those named; a line of JSON each, and a table
#                              at the end. --quick: one or two cases of each, for some minutes. DIFFPROB_BENCH_DATA=FOLDER (InsightFace
#                              layout): train on its JPEG images, too (DIFFPROB_BENCH_WORKERS=8 threads or processes decode)
#   run.sh exec PROGRAM ...    one program of the pack
# Logs go to $OUT (default: build/gpu/out). LibTorch is that of python3.
set -uo pipefail
cd "$(dirname "$0")/../../.."
out=${OUT:-build/gpu/out}
pack=${DIFFPROB_GPU_PACK:-/tmp/diffprob_gpu}/pack
mkdir -p "$out"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 DIFFPROB_SOURCE_DIR=$PWD DIFFPROB_TEST_RANKS=1 DIFFPROB_TEST_DEVICE=cuda
DIFFPROB_LIBTORCH=${DIFFPROB_LIBTORCH:-$(python3 -c 'import torch; print(torch.__path__[0])')}
export DIFFPROB_LIBTORCH
if [ ! -e "$pack/gpu_programs.txt" ]; then
  mkdir -p "$(dirname "$pack")"
  python3 -m tarfile -e build/gpu/pack.tar.xz "$(dirname "$pack")" || exit 1  # the machine may lack xz
fi

# NCCL refuses two ranks on one GPU unless it takes them for two hosts.
ranks=1
launch() { # PROGRAM ARGUMENTS...
  local rank parts=()
  if [ "$ranks" = 1 ]; then
    timeout 150 "$pack/bin/mpirun" -np 1 --bind-to none "$@"
    return
  fi
  for ((rank = 0; rank < ranks; ++rank)); do
    [ "$rank" = 0 ] || parts+=(:)
    parts+=(-np 1 -x "NCCL_HOSTID=host$rank" "$@")
  done
  DIFFPROB_TEST_RANKS=$ranks DIFFPROB_TEST_SHARED_GPU=1 NCCL_SOCKET_IFNAME=lo \
    timeout 150 "$pack/bin/mpirun" --oversubscribe --bind-to none "${parts[@]}"
}

run_test() {
  launch "$pack/bin/$1" >"$out/$1.log" 2>&1
  local state=$?
  if [ $state -eq 0 ] && grep -q DIFFPROB_TEST_SKIPPED_ENTIRELY "$out/$1.log"; then state=skipped; fi
  echo "$state" >"$out/$1.rc"
}

run_tests() {
  local names=("$@") name state passed=0 failed=0
  [ ${#names[@]} -gt 0 ] || mapfile -t names < <(grep '_test$' "$pack/gpu_programs.txt")
  for name in "${names[@]}"; do run_test "$name" & done
  wait
  for name in "${names[@]}"; do
    state=$(cat "$out/$name.rc")
    if [ "$state" = 0 ]; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      printf '\n--- %s: %s\n' "$name" "$state"
      grep -E 'Failure|FAILED|error|what|Which|Expected|actual|^  [A-Z]' "$out/$name.log" | head -n 25 | cut -c1-220
    fi
    rm -f "$out/$name.rc"
  done
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ $failed -eq 0 ]
}

# A training of very many steps, of which one rank gets a signal.
fault() { # SIGNAL CUDA_GRAPH
  local log=$out/fault_$1_$2.log job pids start code=0
  launch "$pack/bin/train_bench" --model.backbone=iresnet18 --train.batch_size=64 --classes=1000 --steps=1000000 --train.cuda_graph="$2" \
    --dist.step_timeout=20 >"$log" 2>&1 &
  job=$!
  sleep 40
  mapfile -t pids < <(pgrep -f "^$pack/bin/train_bench")
  start=$SECONDS
  [ ${#pids[@]} -eq 2 ] && kill "-$1" "${pids[1]}"
  wait "$job" || code=$?
  printf '{"signal": "%s", "cuda_graph": %s, "ranks_found": %d, "seconds": %d, "exit_code": %d, "left": %d, "message": "%s"}\n' "$1" "$2" \
    ${#pids[@]} $((SECONDS - start)) "$code" "$(pgrep -cf "^$pack/bin/train_bench")" \
    "$(grep -m 1 -E 'waited|did not arrive|dead since' "$log" | tr -d '"' | cut -c1-200)"
  pkill -KILL -f "^$pack/bin/train_bench"
}

run_faults() {
  local signal graph
  ranks=2
  for signal in STOP KILL; do
    for graph in true false; do fault $signal $graph | tee -a "$out/faults.jsonl"; done
  done
}

# What ran out of memory or of time says so and has no line.
bench() { # LIMIT_SECONDS COMMAND...
  local limit=$1
  shift
  timeout "$limit" "$@" 2>>"$out/benches.log" || printf 'no result (exit code %d, see %s): %s\n' $? "$out/benches.log" "$*" >&2
}
ours() { # PROGRAM ARGUMENTS...
  local program=$pack/bin/$1
  shift
  bench 150 "$program" "$@"
}
peer() { # SCRIPT ARGUMENTS...
  local script=tests/bench/gpu/$1
  shift
  bench 150 python3 "$script" "$@"
}

untried=faces,sum_statistics,own_classes,folded_norm

train_case() { # NETWORK BATCH CLASSES
  # First with the kernels that have not run on a GPU yet.
  ours train_bench --model.backbone="$1" --train.batch_size="$2" --classes="$3" --train.precision=fp16 \
    --train.untried_kernels="$untried"
  ours train_bench --model.backbone="$1" --train.batch_size="$2" --classes="$3" --train.precision=fp16
  peer peer_train.py --network "$1" --batch "$2" --classes "$3"
  peer peer_train.py --network "$1" --batch "$2" --classes "$3" --channels-last
}
train_jpeg_case() { # NETWORK BATCH
  local workers=${DIFFPROB_BENCH_WORKERS:-8}
  ours train_bench --model.backbone="$1" --train.batch_size="$2" --train.precision=fp16 --data="$DIFFPROB_BENCH_DATA" \
    --data.decode_threads="$workers"
  peer peer_train.py --network "$1" --batch "$2" --data "$DIFFPROB_BENCH_DATA" --workers "$workers"
}
head_case() { # BATCH CLASSES SAMPLE_RATE
  ours gpu_head_bench --train.batch_size="$1" --classes="$2" --model.sample_rate="$3" --train.precision=fp16
  peer peer_head.py --batch "$1" --classes "$2" --sample-rate "$3"
}
score_case() { # NETWORK BATCH CLASSES
  local precision
  for precision in fp16 tf32 fp32; do
    ours gpu_score_bench --model.backbone="$1" --score.batch_per_rank="$2" --classes="$3" --precision=$precision
  done
  for precision in fp16 fp32; do peer peer_gpu_score.py --network "$1" --batch "$2" --classes "$3" --precision $precision; done
}

train_benches() {
  local network batch classes
  local networks=(iresnet50 iresnet100) batches=(128 256 512 1024) all_classes=(10572 93431 1000000)
  if $quick; then networks=(iresnet50) batches=(256) all_classes=(93431); fi
  for network in "${networks[@]}"; do
    for batch in "${batches[@]}"; do
      for classes in "${all_classes[@]}"; do train_case "$network" "$batch" "$classes"; done
    done
  done
  if [ -n "${DIFFPROB_BENCH_DATA:-}" ]; then train_jpeg_case iresnet50 256; fi
}
head_benches() {
  local batch classes rate
  local batches=(256 512 1024) all_classes=(10572 93431 1000000)
  if $quick; then batches=(512) all_classes=(93431 1000000); fi
  for batch in "${batches[@]}"; do
    for classes in "${all_classes[@]}"; do
      for rate in 1 0.1; do head_case "$batch" "$classes" $rate; done
    done
  done
}
score_benches() {
  local network batch classes
  local networks=(iresnet50 iresnet100) batches=(512 1024) all_classes=(10572 93431)
  if $quick; then networks=(iresnet50) batches=(512) all_classes=(93431); fi
  for network in "${networks[@]}"; do
    for batch in "${batches[@]}"; do
      for classes in "${all_classes[@]}"; do score_case "$network" "$batch" "$classes"; done
    done
  done
}

run_benches() {
  local quick=false name names=() files=()
  for name in "$@"; do
    case $name in
      --quick) quick=true ;;
      train | head | score) names+=("$name") ;;
      *) echo "run.sh benches: expected --quick, train, head or score, found $name" >&2; return 2 ;;
    esac
  done
  [ ${#names[@]} -gt 0 ] || names=(train head score)
  : >"$out/benches.log"
  for name in "${names[@]}"; do
    printf 'benches: %s, ours and eager PyTorch turn by turn\n' "$name" >&2
    "${name}_benches" | tee "$out/${name}_bench.jsonl"
    files+=("$out/${name}_bench.jsonl")
  done
  python3 tests/bench/gpu/bench_table.py "${files[@]}" | tee "$out/benches.md"
}

step_of_backlog() { # ARGUMENTS...
  ours train_bench --model.backbone=iresnet50 --train.batch_size=256 --train.precision=fp16 "$@"
}
run_backlog() {
  local kernel shares="$out/kernels.json"
  "$0" tests
  for kernel in '' faces sum_statistics own_classes weights folded_norm faces,sum_statistics,own_classes,weights "$untried"; do
    step_of_backlog --train.untried_kernels="$kernel"
  done
  step_of_backlog --train.untried_kernels="$untried" --cudnn_plans=0
  step_of_backlog --train.untried_kernels="$untried" --train.batch_size=512
  peer peer_train.py --network iresnet50 --batch 256
  peer peer_train.py --network iresnet50 --batch 256 --channels-last
  step_of_backlog --train.untried_kernels="$untried" --trace="$shares"
  python3 tests/bench/gpu/kernel_shares.py "$shares" --top 40 | cut -c1-160
  rm -f "$shares"
  timeout 120 "$pack/bin/mpirun" -np 1 --bind-to none "$pack/bin/diffprob" run launch/configs/quickstart.yaml --device=cuda \
    --output="$(mktemp -d)/run" >"$out/quickstart.log" 2>&1
  printf 'quickstart: exit code %d\n' $?
  tail -n 20 "$out/quickstart.log" | cut -c1-160
  "$0" tests2
}

case ${1:-} in
  backlog) run_backlog | tee "$out/backlog.txt" ;;
  tests) shift; run_tests "$@" ;;
  tests2 | tests4)
    ranks=${1#tests}
    shift
    [ $# -gt 0 ] || set -- dist_nccl_communicator_test model_sharded_head_test model_head_golden_test model_head_score_test \
      model_head_chunked_test model_head_sampled_test model_margin_ranks_test launch_trainer_test launch_gpu_step_test
    run_tests "$@"
    ;;
  faults) run_faults ;;
  benches) shift; run_benches "$@" ;;
  exec) shift; program=$1; shift; exec "$pack/bin/$program" "$@" ;;
  *) sed -n '2,15p' "$0"; exit 2 ;;
esac
