# Sourced by tests that run the real program: what they ask of it. Needs $program and $log, the file that the program's output goes to.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1

diffprob() { "$program" "$@" >"$log" 2>&1; }
ranks() { local n=$1; shift; timeout 120 mpirun -np "$n" --oversubscribe --bind-to none "$program" "$@" >"$log" 2>&1; }
die() { echo "FAILED: $*"; tail -n 40 "$log"; exit 1; }
says() { grep -qF -- "$1" "$log" || die "the log does not say: $1"; }
# exits CODE COMMAND...: for example `exits 2 diffprob prune`, `exits 0 ranks 2 train`.
exits() { local wanted=$1 code=0; shift; "$@" || code=$?; [ "$code" -eq "$wanted" ] || die "exit code $code, expected $wanted: $*"; }
same() { cmp "$1" "$2" || die "$1 differs from $2"; }
