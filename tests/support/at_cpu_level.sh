#!/usr/bin/env bash
# Runs a command as if the processor had fewer vector instructions: at_cpu_level.sh LEVEL FICKLE_LIBRARY COMMAND...
# Level `native` is the machine as it is. Level `fickle` is the machine as it is, with a library in the processes that mpirun
# starts that imitates kernels chosen by shape, threads and alignment (fickle_kernels.cpp). Exit code 77: this machine lacks the level.
set -euo pipefail
level=$1 fickle_library=$2
shift 2
unset MKL_CBWR ATEN_CPU_CAPABILITY ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA MKL_ENABLE_INSTRUCTIONS

needs() {
  for flag; do
    grep -qw -m 1 -- "$flag" /proc/cpuinfo || { echo "DIFFPROB_TEST_SKIPPED_ENTIRELY: level $level needs a processor with $flag"; exit 77; }
  done
}
# limit ATEN ONEDNN MKL: the newest instructions that LibTorch's own kernels, oneDNN and MKL may use.
limit() { export ATEN_CPU_CAPABILITY=$1 ONEDNN_MAX_CPU_ISA=$2 MKL_ENABLE_INSTRUCTIONS=$3; }

case $level in
  native) ;;
  sse) limit default SSE41 SSE4_2 ;;
  avx2) needs avx2 fma && limit avx2 AVX2 AVX2 ;;
  avx512) needs avx512f avx512bw avx512dq avx512vl && limit avx512 AVX512_CORE AVX512 ;;
  amx) needs amx_tile amx_bf16 && limit avx512 AVX512_CORE_AMX AVX512 ;;
  # Not LD_PRELOAD itself: neither mpirun nor bash is to load LibTorch.
  fickle) export OMPI_MCA_mca_base_env_list="LD_PRELOAD=$fickle_library" ;;
  *) echo "at_cpu_level.sh: unknown level $level, expected native, sse, avx2, avx512, amx or fickle" >&2; exit 2 ;;
esac
export DIFFPROB_CPU_LEVEL=$level
exec "$@"
