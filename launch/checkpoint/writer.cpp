#include "launch/checkpoint/writer.h"

#include <ATen/ops/empty_like.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include "data/files/atomic_file.h"
#include "dist/mpi/agreement.h"
#include "launch/checkpoint/manifest.h"
#include "launch/observe/json_file.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::minutes kLongestWait{30};  // of rank 0 for the files of the others
constexpr std::chrono::seconds kGrace{
    10};  // the same, once this rank is on its way out: the others may be gone
constexpr std::chrono::milliseconds kPoll{20};
constexpr std::chrono::milliseconds kRound{
    200};                  // a wait for the disk between two exchanges, far below their deadline
constexpr int kNice = 10;  // training comes first

std::string ready_file(int rank) {
  return fmt::format("ready.{:05d}.json", rank);
}

/// Why a checkpoint is not written, "" when it is. `written` is ready.
std::string problem_of(std::future<void>& written) {
  try {
    written.get();
    return "";
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Those of the newest few, of every Nth epoch, and the best stay.
void remove_old(const std::string& folder, const Retention& retention,
                const CheckpointInfo& newest) {
  const auto steps = steps_in(folder);
  for (std::size_t i = static_cast<std::size_t>(retention.newest); i < steps.size(); ++i) {
    const std::string path = folder + "/" + checkpoint_name(steps[i]);
    if (steps[i] == newest.best_step) continue;
    try {
      const CheckpointInfo info = read_checkpoint_info(path);
      const bool end_of_epoch = info.batch == 0;
      if (retention.every_epochs > 0 && end_of_epoch && info.epoch % retention.every_epochs == 0)
        continue;
    } catch (const std::exception& error) {
      spdlog::warn("{} is kept, because it cannot be read: {}", path, error.what());
      continue;
    }
    const std::string removed =
        path + kTemporaryMark + "old";  // so that a kill now leaves no half checkpoint behind
    fs::rename(path, removed);
    fs::remove_all(removed);
  }
}

/// What a killed run has left: half-written folders, and a checkpoint put aside for one that never
/// took its name.
void clear_leftovers(const std::string& folder) {
  fs::create_directories(folder);
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename();
    if (name.find(kTemporaryMark) != std::string::npos || name.ends_with(kReplacedSuffix))
      leftovers.push_back(item.path());
  }
  for (const fs::path& path : leftovers) {
    const fs::path whole = fs::path(path).replace_extension();
    if (path.extension() == kReplacedSuffix && !fs::exists(whole)) {
      fs::rename(path, whole);
    } else {
      fs::remove_all(path);
    }
  }
}

}  // namespace

std::vector<at::Tensor> pieces_of(const at::Tensor& tensor, std::int64_t piece_bytes) {
  const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
  if (bytes <= piece_bytes) return {tensor};
  const at::Tensor rows = tensor.is_contiguous() ? tensor.view(-1) : tensor;
  return rows.split(std::max<std::int64_t>(piece_bytes / (bytes / rows.size(0)), 1));
}

/// One checkpoint: what the background thread works on.
struct CheckpointWriter::Job {
  std::string folder;
  std::string temporary;
  Retention retention;
  CheckpointInfo info;
  std::vector<std::pair<std::string, std::vector<model::WeightEntry>>> files;
  std::string shard;  ///< the one of `files` that holds class rows
  std::int64_t first_class;
  std::int64_t num_rows;
  int rank;
  int world_size;
  const std::atomic<bool>* leaving;
  std::optional<c10::Event> copied{};  ///< tensors of a GPU are in host memory from then on

  void run() const {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
    try {
      if (copied) copied->synchronize();
      fs::create_directories(temporary);
      write_json(temporary + "/" + ready_file(rank), {{"files", to_json(write_own())}});
    } catch (const std::exception& error) {
      report(error.what());
      throw;
    }
    if (rank == 0) publish();
  }

 private:
  [[nodiscard]] std::vector<FileRecord> write_own() const {
    std::vector<FileRecord> records;
    for (const auto& [name, entries] : files) {
      const model::WrittenFile written = model::write_pth(temporary + "/" + name, entries);
      FileRecord record{name, written.bytes, written.sha256};
      if (name == shard) {
        record.first_class = first_class;
        record.num_rows = num_rows;
      }
      records.push_back(record);
    }
    return records;
  }

  /// So that rank 0 need not wait for the deadline.
  void report(const std::string& problem) const {
    try {
      write_json(temporary + "/" + ready_file(rank), {{"error", problem}});
    } catch (const std::exception&) {  // the disk that failed before: the other ranks hear of it at
                                       // the next start() or finish()
    }
  }

  [[nodiscard]] std::vector<FileRecord> wait_for_rank(int other) const {
    const std::string path = temporary + "/" + ready_file(other);
    const auto start = std::chrono::steady_clock::now();
    std::optional<std::chrono::steady_clock::time_point> left;
    while (!fs::exists(path)) {
      const auto now = std::chrono::steady_clock::now();
      if (*leaving && !left) left = now;
      TORCH_CHECK(now - start < kLongestWait && (!left || now - *left < kGrace), "checkpoint ",
                  temporary, ": rank ", other, " has not written its files within ",
                  std::chrono::duration_cast<std::chrono::seconds>(now - start).count(),
                  " s. Is this folder visible to all ranks?");
      std::this_thread::sleep_for(kPoll);
    }
    const nlohmann::json json = read_json(path);
    TORCH_CHECK(!json.contains("error"), "checkpoint ", temporary, ": rank ", other, ": ",
                json.at("error").get<std::string>());
    return files_from_json(json.at("files"));
  }

  void publish() const {
    Manifest manifest{info, world_size, {}};
    for (int other = 0; other < world_size; ++other) {
      for (auto& record : wait_for_rank(other)) manifest.files.push_back(std::move(record));
    }
    for (int other = 0; other < world_size; ++other)
      fs::remove(temporary + "/" + ready_file(other));
    write_manifest(temporary, manifest);
    const std::string path = folder + "/" + checkpoint_name(info.step);
    if (fs::exists(path)) fs::rename(path, path + kReplacedSuffix);
    fs::rename(temporary, path);
    data::sync_folder(folder);
    fs::remove_all(path + kReplacedSuffix);
    remove_old(folder, retention, info);
  }
};

CheckpointWriter::CheckpointWriter(std::string folder, Retention retention,
                                   dist::HostCollectives& control, std::int64_t piece_bytes)
    : folder_(std::move(folder)),
      retention_(retention),
      control_(control),
      piece_bytes_(piece_bytes) {
  if (control_.rank() == 0) clear_leftovers(folder_);
  id_ = control_.broadcast(fmt::format("{:08x}", std::random_device()()), 0);
}

CheckpointWriter::~CheckpointWriter() {
  leaving_ = true;
  if (written_.valid()) written_.wait();
}

std::vector<model::WeightEntry> CheckpointWriter::copied(const std::string& kind,
                                                         const model::StateDict& entries) {
  std::vector<model::WeightEntry> copied;
  for (const auto& [name, tensor] : entries) {
    const std::vector<at::Tensor> pieces = pieces_of(tensor.detach(), piece_bytes_);
    std::vector<at::Tensor>& copies = copies_[kind + "/" + name];
    copies.resize(pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      at::Tensor& copy = copies[i];
      if (!copy.defined() || copy.sizes() != pieces[i].sizes() ||
          copy.scalar_type() != pieces[i].scalar_type()) {
        copy = at::empty_like(pieces[i],
                              pieces[i].options().device(at::kCPU).pinned_memory(tensor.is_cuda()));
        if (tensor.is_cuda()) page_locked_bytes_ += std::bit_ceil(copy.nbytes());
      }
      copy.copy_(pieces[i], /*non_blocking=*/true);
    }
    copied.push_back({name, tensor.sizes().vec(), tensor.scalar_type(), copies});
  }
  return copied;
}

CheckpointWriter::Job CheckpointWriter::make_job(const CheckpointInfo& info,
                                                 const CheckpointState& state) {
  const int rank = control_.rank();
  const int world_size = control_.world_size();
  Job job{folder_,
          newest_ + kTemporaryMark + id_,
          retention_,
          info,
          {},
          "",
          state.first_class,
          0,
          rank,
          world_size,
          &leaving_};
  const auto add = [&](const std::string& file, const std::string& kind,
                       const model::StateDict& entries) {
    if (!entries.empty()) job.files.emplace_back(file, copied(kind, entries));
  };
  if (rank == 0) {
    add(part_file(kBackbonePart), kBackbonePart, state.backbone);
    for (const auto& part : state.replicated) add(part_file(part.name), part.name, part.entries);
  }
  if (!state.rows.empty() && state.writes_rows) {
    job.shard = rank_file("head", rank, world_size);
    job.num_rows = state.rows.front().second.size(0);
    add(job.shard, "head", state.rows);
  }
  add(rank_file("local", rank, world_size), "local", state.local);
  add(rank_file("dynamics", rank, world_size), "dynamics", state.dynamics);
  const at::Device device =
      state.backbone.empty() ? at::Device(at::kCPU) : state.backbone.front().second.device();
  if (!device.is_cpu()) {  // the copies are enqueued: later updates are ordered after them, the
                           // thread waits for them
    job.copied.emplace(device.type());
    job.copied->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
  return job;
}

void CheckpointWriter::start(const CheckpointInfo& info, const CheckpointState& state) {
  const at::NoGradGuard no_grad;
  finish();
  newest_ = folder_ + "/" + checkpoint_name(info.step);
  const bool first = copies_.empty();
  written_ = std::async(std::launch::async, [job = make_job(info, state)] { job.run(); });
  if (first && page_locked_bytes_ > 0) {
    spdlog::info("checkpoints: {:.2f} GiB of page-locked host memory on this rank",
                 std::ldexp(page_locked_bytes_, -30));
  }
}

void CheckpointWriter::finish() {
  if (!written_.valid()) return;
  // In rounds: a slow disk on one rank must not look like a dead rank to the others.
  std::optional<std::string> problem;
  std::array<std::int32_t, 2> any{};  // waits, has failed
  do {
    if (!problem && written_.wait_for(kRound) == std::future_status::ready)
      problem = problem_of(written_);
    any = {problem ? 0 : 1, problem && !problem->empty() ? 1 : 0};
    control_.all_reduce(std::span<std::int32_t>(any), dist::ReduceOp::kMax);
    if (any[1] != 0)
      leaving_ = true;  // rank 0 may be waiting for a rank whose disk cannot even take the word
                        // that it has failed
  } while (any[0] != 0);
  if (any[1] != 0) throw_problems(*problem);
}

/// Collective; `own`: of this rank, or "".
void CheckpointWriter::throw_problems(const std::string& own) {
  const auto problems = dist::gather_texts(control_, own);
  std::string text;
  for (std::size_t rank = 0; rank < problems.size(); ++rank) {
    if (!problems[rank].empty())
      text += fmt::format("{}rank {}: {}", text.empty() ? "" : "; ", rank, problems[rank]);
  }
  TORCH_CHECK(false, "checkpoint ", newest_, " could not be written: ", text);
}

}  // namespace diffprob::launch
