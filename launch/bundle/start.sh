#!/bin/sh
# In a bundle: bin/diffprob, bin/mpirun and bin/orted are this script. It starts the program of its own name from libexec/diffprob, wherever
# the bundle lies, with the bundle's libraries and Open MPI. (tests/bench/gpu/pack.sh puts more programs there.)
#   DIFFPROB_LIBTORCH=DIR   LibTorch: the folder with lib/libtorch_cpu.so (default: libtorch of the bundle)
#   DIFFPROB_MPI=system     an Open MPI 4 of the cluster, found on LD_LIBRARY_PATH, in place of the bundle's; start with its mpirun, or srun
set -eu
self=$(readlink -f -- "$0")
name=$(basename -- "$self")
root=$(dirname -- "$(dirname -- "$self")")

own_mpi() { [ "${DIFFPROB_MPI:-bundle}" != system ]; }

if own_mpi; then
  export OPAL_PREFIX="$root" OPAL_SYSCONFDIR="$root/etc/openmpi"
  export PMIX_PREFIX="$root/pmix" PMIX_LIBDIR="$root/pmix/lib" PMIX_PKGLIBDIR="$root/pmix/lib/pmix" PMIX_PKGDATADIR="$root/pmix/share/pmix"
elif [ "$name" = mpirun ] || [ "$name" = orted ]; then
  echo "$name: DIFFPROB_MPI=system, but this is the bundle's $name: use the cluster's" >&2
  exit 2
fi

# Without ssh no other node can be reached that way, and mpirun would refuse to start even on this one.
if [ "$name" = mpirun ] && [ -z "${OMPI_MCA_plm:-}${OMPI_MCA_plm_rsh_agent:-}" ] && ! command -v ssh >/dev/null && ! command -v rsh >/dev/null; then
  export OMPI_MCA_plm=^rsh
fi

if [ "$name" != mpirun ] && [ "$name" != orted ]; then
  torch=${DIFFPROB_LIBTORCH:-$root/libtorch}
  if [ ! -e "$torch/lib/libtorch_cpu.so" ]; then
    echo "diffprob: no LibTorch: $torch/lib/libtorch_cpu.so is missing. Set DIFFPROB_LIBTORCH to the folder with lib/libtorch_cpu.so" >&2
    echo "(which version: $root/BUNDLE.txt; of a Python environment with that torch: .../site-packages/torch)" >&2
    exit 2
  fi
  path=$torch/lib
  for folder in "$torch"/../nvidia/*/lib; do  # CUDA libraries of the wheel, when there
    [ ! -d "$folder" ] || path=$path:$folder
  done
  if own_mpi; then  # before what modules have put on the path
    export LD_LIBRARY_PATH="$root/lib:$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  else
    export LD_LIBRARY_PATH="$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}:$root/lib"
  fi
fi
exec "$root/libexec/diffprob/$name" "$@"
