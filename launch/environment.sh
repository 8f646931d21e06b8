# shellcheck shell=sh
# Sourced, by any POSIX shell: how Open MPI runs on a plain machine and over several. What is set already stays.
diffprob_default() {
  eval "[ -n \"\${$1+set}\" ]" || export "$1=$2"
}
diffprob_default OMPI_MCA_btl_base_warn_component_unused 0
# Ranks that wait let others run: decoding threads, or more ranks than cores.
diffprob_default OMPI_MCA_mpi_yield_when_idle 1
# mpirun pins ranks otherwise, and the decoding threads of a rank with it.
diffprob_default OMPI_MCA_hwloc_base_binding_policy none
# mpirun notices a lost node after 20 s; with Open MPI's own settings after 5 minutes.
diffprob_default OMPI_MCA_oob_tcp_keepalive_time 10
diffprob_default OMPI_MCA_oob_tcp_keepalive_intvl 2
diffprob_default OMPI_MCA_oob_tcp_keepalive_probes 5
# srun with several ranks a node crashes now and then in MPI_Init with Slurm's own choice.
diffprob_default SLURM_PMIX_FENCE ring
if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
unset -f diffprob_default
