#include "launch/inputs/stage_data.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include <unistd.h>

#include "data/error.h"
#include "data/files/sha256.h"
#include "data/staging/dataset_files.h"
#include "data/staging/staged_copy.h"
#include "dist/mpi/agreement.h"
#include "launch/job/file_lock.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;

/// Ranks meet this often, so that every wait is short and an error on one ends all.
constexpr double kRoundSeconds = 1;
constexpr double kLockWaitSeconds = 3600;
constexpr auto kLockPause = std::chrono::milliseconds(200);
constexpr std::int64_t kMebibyte = 1 << 20;

std::string base_name(const std::string& folder) {
  const auto path = fs::path(folder).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

/// The listing of rank 0, or its error, on every rank.
data::DatasetFiles list_together(const std::string& path, dist::HostCollectives& control) {
  std::string listing;
  dist::together<data::DataError>(control, [&] {
    if (control.rank() == 0) listing = data::serialize(data::list_dataset_files(path));
  });
  return data::deserialize_dataset_files(control.broadcast(std::move(listing), 0));
}

/// What a rank tells the others at the end of a round.
struct RoundReport {
  std::int64_t leader;
  std::int64_t ready;  ///< leaders: the folder is prepared
  std::int64_t parts_left;
  std::int64_t bytes_done;
  std::int64_t bytes_copied;  ///< of them; the others were there
  std::int64_t failed;
};

std::string folder_for(const data::DatasetFiles& source, const std::string& stage_dir) {
  const auto digest = data::sha256_hex(data::serialize(source)).substr(0, 16);
  return (fs::path(stage_dir) / (base_name(source.folder) + "-" + digest)).string();
}

/// One data set, on its way to all nodes. Every rank makes one, with the same listing.
class Staging {
 public:
  Staging(const data::DatasetFiles& source, const std::string& stage_dir, const NodePlace& place,
          dist::HostCollectives& control)
      : name_(base_name(source.folder)),
        folder_(folder_for(source, stage_dir)),
        copy_(source, folder_),
        place_(place),
        control_(control) {
    next_part_ = place.local_rank;
    report_.leader = place.leader;
    for (auto part = next_part_; part < copy_.parts(); part += place.local_size)
      ++report_.parts_left;
  }

  /// Rounds of work until all nodes have their copy. Returns the path to open.
  std::string run() {
    start_ = steady_seconds();
    while (true) {
      const auto reports = control_.all_gather(report_);
      throw_problems(reports);
      const bool done = is_done(reports);
      show(reports, done);
      if (node_is_done(reports)) lock_.reset();
      if (done) return copy_.entry();
      work(reports[static_cast<std::size_t>(place_.leader)].ready != 0);
    }
  }

 private:
  using Reports = std::vector<RoundReport>;

  void throw_problems(const Reports& reports) {
    if (std::ranges::none_of(reports, [](const RoundReport& report) { return report.failed != 0; }))
      return;
    std::string message = "copying to data.stage_dir failed";
    for (const auto& text : dist::gather_texts(control_, error_))
      if (!text.empty() && message.find(text) == std::string::npos) message += "\n  " + text;
    throw data::DataError(message);
  }

  [[nodiscard]] static bool is_ready(const Reports& reports, const RoundReport& report) {
    return reports[static_cast<std::size_t>(report.leader)].ready != 0 && report.parts_left == 0;
  }
  [[nodiscard]] static bool is_done(const Reports& reports) {
    return std::ranges::all_of(
        reports, [&](const RoundReport& report) { return is_ready(reports, report); });
  }
  [[nodiscard]] bool node_is_done(const Reports& reports) const {
    return std::ranges::all_of(reports, [&](const RoundReport& report) {
      return report.leader != place_.leader || is_ready(reports, report);
    });
  }

  /// On rank 0: how far all nodes are together.
  void show(const Reports& reports, bool done) {
    if (control_.rank() != 0) return;
    std::int64_t nodes = 0;
    std::int64_t bytes = 0;
    std::int64_t copied = 0;
    for (std::size_t rank = 0; rank < reports.size(); ++rank) {
      nodes += reports[rank].leader == static_cast<std::int64_t>(rank) ? 1 : 0;
      bytes += reports[rank].bytes_done;
      copied += reports[rank].bytes_copied;
    }
    if (!progress_)
      progress_.emplace("stage " + name_, nodes * copy_.bytes() / kMebibyte, "MiB",
                        ::isatty(2) != 0);
    progress_->advance(bytes / kMebibyte);
    if (!done) return;
    progress_->step_aside();
    spdlog::info(
        "staged {}: {:.1f} MiB on {} node{} in {} ({:.1f} MiB copied, the rest was already there), "
        "opened from {}",
        name_, static_cast<double>(copy_.bytes()) / kMebibyte, nodes, nodes == 1 ? "" : "s",
        format_duration(steady_seconds() - start_), static_cast<double>(copied) / kMebibyte,
        copy_.entry());
  }

  void work(bool node_ready) {
    try {
      if (node_ready)
        copy_parts();
      else if (place_.leader == control_.rank())
        prepare();
      else
        std::this_thread::sleep_for(kLockPause);
    } catch (const std::exception& error) {
      report_.failed = 1;
      error_ = place_.host + ": " + error.what();
    }
  }

  void prepare() {
    std::error_code error;
    const auto parent = fs::path(folder_).parent_path();
    fs::create_directories(parent, error);
    if (error) throw data::DataError(parent.string() + ": cannot be created: " + error.message());
    const auto lock_path = folder_ + ".lock";
    lock_ = FileLock::try_lock(lock_path);
    if (!lock_) return wait_for_lock(lock_path);
    copy_.prepare();
    report_.ready = 1;
  }

  void wait_for_lock(const std::string& lock_path) {
    if (steady_seconds() - start_ > kLockWaitSeconds)
      throw data::DataError(lock_path +
                            ": another job has held this lock for an hour; stop it, or choose "
                            "another data.stage_dir");
    if (!std::exchange(told_of_lock_, true))
      spdlog::warn("{}: {} is being copied by another job, waiting for it", place_.host, folder_);
    std::this_thread::sleep_for(kLockPause);
  }

  void copy_parts() {
    const double end = steady_seconds() + kRoundSeconds;
    for (; next_part_ < copy_.parts() && steady_seconds() < end; next_part_ += place_.local_size) {
      const auto outcome = copy_.bring(next_part_);
      report_.bytes_done += copy_.bytes_of(next_part_);
      if (outcome == data::StagedCopy::Outcome::kCopied)
        report_.bytes_copied += copy_.bytes_of(next_part_);
      --report_.parts_left;
    }
  }

  std::string name_;
  std::string folder_;
  data::StagedCopy copy_;
  const NodePlace& place_;
  dist::HostCollectives& control_;
  std::int64_t next_part_ = 0;
  RoundReport report_{};
  std::string error_;
  std::optional<FileLock> lock_;  // leaders
  bool told_of_lock_ = false;
  std::optional<Progress> progress_;  // rank 0
  double start_ = 0;
};

/// What a rank opened.
std::string describe_opened(const data::Dataset& dataset, const NodePlace& place) {
  return place.host + " (node of rank " + std::to_string(place.leader) + "): fingerprint " +
         dataset.fingerprint().substr(0, 16) + ", " + std::to_string(dataset.size()) +
         " images of " + std::to_string(dataset.num_classes()) + " identities";
}

}  // namespace

NodePlace node_place(const dist::MpiEnvironment& mpi) {
  return {mpi.node_leader(), mpi.local_rank(), mpi.local_size(), mpi.host_name()};
}

std::vector<std::string> stage_datasets(const std::vector<std::string>& paths,
                                        const std::string& stage_dir, const NodePlace& place,
                                        dist::HostCollectives& control) {
  std::vector<std::string> staged;
  control.set_phase(dist::Phase::kStartup);  // listing or making millions of files takes a while
  for (const auto& path : paths) {
    const auto source = list_together(path, control);
    staged.push_back(Staging(source, stage_dir, place, control).run());
  }
  control.set_phase(dist::Phase::kStep);
  return staged;
}

void check_same_dataset(const data::Dataset& dataset, const std::string& name,
                        const NodePlace& place, dist::HostCollectives& control) {
  const auto fingerprints = dist::gather_texts(control, dataset.fingerprint());
  if (std::ranges::all_of(fingerprints,
                          [&](const std::string& other) { return other == fingerprints[0]; }))
    return;
  const auto opened = dist::gather_texts(control, describe_opened(dataset, place));
  std::map<std::string, std::string> ranks;  // what was opened -> who opened it
  for (std::size_t rank = 0; rank < opened.size(); ++rank) {
    auto& list = ranks[opened[rank]];
    list += (list.empty() ? "" : ", ") + std::to_string(rank);
  }
  std::string message = name + " is not the same data set on all ranks:";
  for (const auto& [what, list] : ranks) message += "\n  " + what + "; ranks " + list;
  throw data::DataError(
      message +
      "\nEvery node needs the same copy: copy the set of one node to the others (rsync -a), or "
      "give data.train a path that all "
      "nodes share, with data.stage_dir=LOCAL_FOLDER to have it copied to each node.");
}

}  // namespace diffprob::launch
