// Where a fault can strike. The program with faults is the shipped one, object by object, linked
// with --wrap: the linker sends calls from one translation unit to another through these functions,
// and nothing in the program knows of it. A function whose signature has changed does not link any
// more. Member functions are called as free ones that take the object first.
#include <mpi.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/files/atomic_file.h"
#include "data/loading/batch_stream.h"
#include "dist/mpi/environment.h"
#include "eval/embed/embedder.h"
#include "launch/checkpoint/manifest.h"
#include "launch/job/rank_agreement.h"
#include "launch/report/report.h"
#include "launch/score/score_parts.h"
#include "model/head/sharded_head.h"
#include "model/weights/weights.h"
#include "prune/lists/index_set_writer.h"
#include "prune/lists/kept_index_writer.h"
#include "prune/prune.h"
#include "prune/tables/score_table.h"
#include "tests/launch/faults/fault.h"

// "Real" functions are those of the program. The linker reads the symbols from wrapped_symbols.txt.
#define DIFFPROB_STRING "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
#define DIFFPROB_FAULT_POINT(symbol, passes, point, result, name, parameters, arguments) \
  result real_##name parameters asm("__real_" symbol);                                   \
  result wrap_##name parameters asm("__wrap_" symbol);                                   \
  result wrap_##name parameters {                                                        \
    passes(point);                                                                       \
    return real_##name arguments;                                                        \
  }

namespace diffprob::faults {

// before MPI_Init
DIFFPROB_FAULT_POINT("_ZN8diffprob4dist14MpiEnvironmentC1EPiPPPc", fault_point, "launch", void,
                     mpi_environment, (dist::MpiEnvironment * self, int* argc, char*** argv),
                     (self, argc, argv))
// after MPI_Init, before the ranks have met
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob6launch13agreed_configERKNS0_11CommandLineERKNS_4dist14MpiEnvironmentE",
    fault_point, "start", launch::Config, agreed_config,
    (const launch::CommandLine& line, const dist::MpiEnvironment& mpi), (line, mpi))
DIFFPROB_FAULT_POINT("_ZN8diffprob4data11BatchStream4nextERNS0_5BatchE", fault_point, "data_wait",
                     bool, next_batch, (data::BatchStream * self, data::Batch& batch),
                     (self, batch))
// in the head: the embeddings are there, the backward pass is to come
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob5model11ShardedHead16forward_backwardERKN2at6TensorES5_RKSt6vectorIlSaIlEERKNS0_"
    "15HeadStepOptionsE",
    fault_point, "forward", model::HeadStep, head_step,
    (model::ShardedHead * self, const at::Tensor& embeddings, const at::Tensor& labels,
     const std::vector<std::int64_t>& counts, const model::HeadStepOptions& step),
    (self, embeddings, labels, counts, step))
// in an exchange: receives are posted, nothing is sent
DIFFPROB_FAULT_POINT("MPI_Isend", fault_point, "collective", int, isend,
                     (const void* data, int count, MPI_Datatype type, int to, int tag,
                      MPI_Comm comm, MPI_Request* request),
                     (data, count, type, to, tag, comm, request))
// each file of a rank's checkpoint, in the background
DIFFPROB_FAULT_POINT("_ZN8diffprob5model9write_pthERK" DIFFPROB_STRING
                     "RKSt6vectorINS0_11WeightEntryESaISA_EE",
                     fault_point, "checkpoint_staged", model::WrittenFile, write_pth,
                     (const std::string& path, const std::vector<model::WeightEntry>& entries),
                     (path, entries))
// the files of all ranks are written, the manifest is not
DIFFPROB_FAULT_POINT("_ZN8diffprob6launch14write_manifestERK" DIFFPROB_STRING "RKNS0_8ManifestE",
                     fault_point_of_root, "checkpoint_written", void, write_manifest,
                     (const std::string& checkpoint, const launch::Manifest& manifest),
                     (checkpoint, manifest))
// the checkpoint has its name, old ones are still there
DIFFPROB_FAULT_POINT("_ZN8diffprob4data11sync_folderERK" DIFFPROB_STRING "", fault_point_of_root,
                     "checkpoint_published", void, sync_folder, (const std::string& folder),
                     (folder))
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob4eval10verify_setERNS0_11ResidentSetERNS_5model8BackboneERNS_"
    "4dist12CommunicatorERKNS0_15EmbedderOptionsE",
    fault_point, "evaluation", eval::VerifiedSet, verify_set,
    (eval::ResidentSet & set, model::Backbone& backbone, dist::Communicator& communicator,
     const eval::EmbedderOptions& options),
    (set, backbone, communicator, options))
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob6launch10ScoreParts5writeENS_5prune11SampleRangeESt4spanIKNS2_"
    "11ScoreRecordELm18446744073709551615EE",
    fault_point, "score_part", void, write_part,
    (launch::ScoreParts * self, prune::SampleRange samples,
     std::span<const prune::ScoreRecord> records),
    (self, samples, records))
DIFFPROB_FAULT_POINT("_ZN8diffprob5prune12write_scoresERK" DIFFPROB_STRING "RKNS0_10ScoreTableE",
                     fault_point_of_root, "scores_written", void, write_scores,
                     (const std::string& path, const prune::ScoreTable& table), (path, table))
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob5prune5pruneERKNS0_10PruneFilesERKNS0_12PruneOptionsERNS_"
    "4dist15HostCollectivesERKNS0_9PruneWorkE",
    fault_point, "prune", prune::PruneResult, prune_files,
    (const prune::PruneFiles& files, const prune::PruneOptions& options,
     dist::HostCollectives& collectives, const prune::PruneWork& work),
    (files, options, collectives, work))
// rank 0 writes the index set
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob5prune14IndexSetWriter6appendESt4spanIKNS0_6ReasonELm18446744073709551615EE",
    fault_point, "prune_written", void, append_index_set,
    (prune::IndexSetWriter * self, std::span<const prune::Reason> reasons), (self, reasons))
// rank 1 writes the list
DIFFPROB_FAULT_POINT(
    "_ZN8diffprob5prune19KeptIndexTextWriter6appendESt4spanIKlLm18446744073709551615EE",
    fault_point, "prune_written", void, append_list,
    (prune::KeptIndexTextWriter * self, std::span<const std::int64_t> kept), (self, kept))
DIFFPROB_FAULT_POINT("_ZN8diffprob6launch16write_run_reportERK" DIFFPROB_STRING
                     "St10shared_ptrIKNS_4data7DatasetEE",
                     fault_point_of_root, "report", void, write_run_report,
                     (const std::string& output, std::shared_ptr<const data::Dataset> dataset),
                     (output, std::move(dataset)))

}  // namespace diffprob::faults
