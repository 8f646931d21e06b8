#!/usr/bin/env bash
# On the machine with the GPU: unpacks build/gpu/pack.tar.gz (made by pack.sh) and runs what it is asked to.
#   run.sh tests [NAME...]     tests of the label gpu on the first GPU, side by side; last line: "N passed, N failed"
#   run.sh tests2 [NAME...]    the same with two ranks that share the GPU, by NCCL over sockets: those of the tests that take two
#   run.sh benches             ours and the peer, one after the other; a line of JSON each
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
  tar -C "$(dirname "$pack")" -xzf build/gpu/pack.tar.gz || exit 1
fi

# NCCL refuses two ranks on one GPU unless it takes them for two hosts.
two_ranks=false
launch_test() {
  if $two_ranks; then
    DIFFPROB_TEST_RANKS=2 DIFFPROB_TEST_SHARED_GPU=1 NCCL_SOCKET_IFNAME=lo timeout 150 "$pack/bin/mpirun" --oversubscribe --bind-to none \
      -np 1 -x NCCL_HOSTID=first "$pack/bin/$1" : -np 1 -x NCCL_HOSTID=second "$pack/bin/$1"
  else
    timeout 150 "$pack/bin/mpirun" -np 1 --bind-to none "$pack/bin/$1"
  fi
}

run_test() {
  launch_test "$1" >"$out/$1.log" 2>&1
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

run_benches() {
  local network classes batch
  for network in iresnet50 iresnet100; do
    for batch in 128 256 512 1024; do
      for classes in 10572 93431 1000000; do
        "$pack/bin/train_bench" --model.backbone=$network --train.batch_size=$batch --classes=$classes --train.precision=fp16
        python3 tests/bench/gpu/peer_train.py --network $network --batch $batch --classes $classes
      done
    done
  done | tee "$out/train_bench.jsonl"
}

case ${1:-} in
  tests) shift; run_tests "$@" ;;
  tests2)
    shift
    two_ranks=true
    [ $# -gt 0 ] || set -- dist_nccl_communicator_test model_sharded_head_test model_head_golden_test model_head_score_test \
      model_head_chunked_test model_head_sampled_test model_margin_ranks_test launch_trainer_test launch_gpu_step_test
    run_tests "$@"
    ;;
  benches) run_benches ;;
  exec) shift; program=$1; shift; exec "$pack/bin/$program" "$@" ;;
  *) sed -n '2,7p' "$0"; exit 2 ;;
esac
