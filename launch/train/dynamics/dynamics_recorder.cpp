#include "launch/train/dynamics/dynamics_recorder.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include <cstring>
#include <optional>
#include <utility>

#include "dist/mpi/agreement.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/inputs/kept_list.h"
#include "model/weights/find_entry.h"
#include "prune/error.h"
#include "prune/tables/dynamics_file.h"

namespace diffprob::launch {
namespace {

constexpr const char* kHeader = "header";
enum Header : std::int64_t { kFirst, kLast, kWindow, kEpochs, kNumSamples, kExpected, kHeaderSize };

/// [rows] of `type`.
at::Tensor column(const model::StateDict& entries, const std::string& name, at::ScalarType type,
                  const std::string& path) {
  const at::Tensor& values = model::need_entry(entries, name, path);
  TORCH_CHECK(values.dim() == 1 && values.scalar_type() == type, path, ": ", name, " is ",
              values.scalar_type(), " ", values.sizes(), ", expected a row of ", type);
  return values.contiguous();
}

model::StateDict tensors_of(const std::vector<prune::EpochRecord>& records) {
  const auto rows = static_cast<std::int64_t>(records.size());
  const at::Tensor index = at::empty({rows}, at::kLong),
                   probability = at::empty({rows}, at::kFloat),
                   margin = at::empty({rows}, at::kFloat), correct = at::empty({rows}, at::kByte);
  for (std::int64_t i = 0; i < rows; ++i) {
    const prune::EpochRecord& record = records[static_cast<std::size_t>(i)];
    index.mutable_data_ptr<std::int64_t>()[i] = record.index;
    probability.mutable_data_ptr<float>()[i] = record.probability;
    margin.mutable_data_ptr<float>()[i] = record.margin;
    correct.mutable_data_ptr<std::uint8_t>()[i] = record.correct;
  }
  return {{"epoch.index", index},
          {"epoch.probability", probability},
          {"epoch.margin", margin},
          {"epoch.correct", correct}};
}

void append_records(const model::StateDict& entries, const std::string& path,
                    std::vector<prune::EpochRecord>& records) {
  const at::Tensor index = column(entries, "epoch.index", at::kLong, path);
  const at::Tensor probability = column(entries, "epoch.probability", at::kFloat, path);
  const at::Tensor margin = column(entries, "epoch.margin", at::kFloat, path);
  const at::Tensor correct = column(entries, "epoch.correct", at::kByte, path);
  TORCH_CHECK(probability.numel() == index.numel() && margin.numel() == index.numel() &&
                  correct.numel() == index.numel(),
              path, ": the columns of the epoch so far have different lengths");
  for (std::int64_t i = 0; i < index.numel(); ++i) {
    records.push_back({static_cast<std::uint32_t>(index.const_data_ptr<std::int64_t>()[i]),
                       probability.const_data_ptr<float>()[i], margin.const_data_ptr<float>()[i],
                       correct.const_data_ptr<std::uint8_t>()[i]});
  }
}

/// The header of a file, checked against what the file's name says of it.
const std::int64_t* header_of(const model::StateDict& entries, const std::string& path,
                              prune::SampleRange range, std::int64_t num_samples) {
  const at::Tensor& header = model::need_entry(entries, kHeader, path);
  TORCH_CHECK(
      header.dim() == 1 && header.scalar_type() == at::kLong && header.numel() == kHeaderSize, path,
      ": the header is ", header.sizes(), ", expected ", std::int64_t{kHeaderSize}, " int64");
  const auto* values = header.const_data_ptr<std::int64_t>();
  TORCH_CHECK(values[kNumSamples] == num_samples, path, ": recorded of ", values[kNumSamples],
              " samples, but the data set has ", num_samples,
              ". Set train.record=false to continue with another set");
  TORCH_CHECK(values[kFirst] == range.first && values[kLast] == range.last &&
                  values[kWindow] >= 2 && values[kEpochs] >= 0,
              path, ": holds samples ", values[kFirst], " to ", values[kLast], ", expected ",
              range.first, " to ", range.last);
  return values;
}

prune::DynamicsState state_from(const model::StateDict& entries, const std::string& path,
                                prune::SampleRange range, const std::int64_t* header) {
  prune::DynamicsState state(range, header[kWindow], header[kEpochs]);
  if (model::find_entry(entries, "history.0") != nullptr) {
    // Every epoch of it is an entry of this file: their number is believed no further than that.
    TORCH_CHECK(header[kEpochs] <= static_cast<std::int64_t>(entries.size()), path,
                ": a history of ", header[kEpochs], " epochs in ", entries.size(), " entries");
    state.start_history();
  }
  for (const auto& wanted : state.columns()) {
    const at::Tensor values = model::need_entry(entries, wanted.name, path).contiguous();
    TORCH_CHECK(values.scalar_type() == at::kByte &&
                    static_cast<std::size_t>(values.numel()) == wanted.bytes.size(),
                path, ": ", wanted.name, " holds ", values.numel(), " of ", values.scalar_type(),
                ", expected ", wanted.bytes.size(), " bytes");
    if (!wanted.bytes.empty())
      std::memcpy(wanted.bytes.data(), values.const_data_ptr<std::uint8_t>(), wanted.bytes.size());
  }
  return state;
}

}  // namespace

DynamicsRecorder::DynamicsRecorder(std::int64_t num_samples, std::int64_t batch_size, Visits visits,
                                   bool keep_history, Runtime& runtime)
    : num_samples_(num_samples),
      batch_size_(batch_size),
      visits_(visits),
      keep_history_(keep_history),
      runtime_(runtime),
      accumulator_(prune::samples_of_rank(num_samples, runtime.rank(), runtime.world_size())) {
  if (keep_history_) accumulator_.keep_history();
}

void DynamicsRecorder::collect() {
  const auto taken = steps_.take();
  records_.insert(records_.end(), taken.records.begin(), taken.records.end());
  expected_ += taken.updates * batch_size_;
}

void DynamicsRecorder::end_epoch() {
  collect();
  const auto rows = runtime_.control().all_reduce(static_cast<std::int64_t>(records_.size()),
                                                  dist::ReduceOp::kSum);
  TORCH_CHECK(rows == expected_, "training dynamics: the ranks hold records of ", rows,
              " rows of this epoch, expected ", expected_);
  auto own = prune::exchange_epoch(records_, num_samples_, runtime_.control());
  if (visits_ == Visits::kAnyNumber) own = prune::merge_visits(std::move(own));
  dist::together<prune::PruneError>(runtime_.control(), [&] {
    accumulator_.add_epoch(own, prune::DynamicsAccumulator::Unvisited::kAllow);
  });
  records_.clear();
  expected_ = 0;
}

model::StateDict DynamicsRecorder::state() {
  collect();
  const auto copy = std::make_shared<prune::DynamicsState>(accumulator_.state());
  const at::Tensor header = at::empty({kHeaderSize}, at::kLong);
  auto* values = header.mutable_data_ptr<std::int64_t>();
  values[kFirst] = copy->range.first;
  values[kLast] = copy->range.last;
  values[kWindow] = copy->window;
  values[kEpochs] = copy->epochs;
  values[kNumSamples] = num_samples_;
  values[kExpected] = expected_;
  model::StateDict entries = {{kHeader, header}};
  for (const auto& part : copy->columns()) {
    const std::vector<std::int64_t> shape = {copy->range.size(),
                                             static_cast<std::int64_t>(part.bytes_per_sample)};
    entries.emplace_back(part.name, at::from_blob(
                                        part.bytes.data(), shape, [copy](void*) {}, at::kByte));
  }
  for (const auto& item : tensors_of(records_)) entries.push_back(item);
  return entries;
}

void DynamicsRecorder::load(const std::string& checkpoint) {
  const auto files = checkpoint_rank_files(checkpoint, "dynamics");
  if (files.empty()) {
    spdlog::warn(
        "training dynamics: {} was written without them; only this and later epochs are recorded",
        checkpoint);
    return;
  }
  const prune::SampleRange own = accumulator_.state().range;
  std::vector<prune::DynamicsState> parts;
  records_.clear();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto range =
        prune::samples_of_rank(num_samples_, static_cast<int>(i), static_cast<int>(files.size()));
    const bool overlaps = range.first < own.last && range.last > own.first;
    const bool takes_rows = static_cast<int>(i) % runtime_.world_size() ==
                            runtime_.rank();  // any rank may hold rows until the exchange
    if (!overlaps && !takes_rows) continue;
    const model::StateDict entries = model::read_pth(files[i]);
    const std::int64_t* header = header_of(entries, files[i], range, num_samples_);
    expected_ = header[kExpected];
    if (overlaps) parts.push_back(state_from(entries, files[i], range, header));
    if (takes_rows) append_records(entries, files[i], records_);
  }
  prune::DynamicsState taken = prune::resplit(parts, own);
  if (keep_history_ && !taken.keeps_history) {
    if (taken.epochs > 0)
      spdlog::warn(
          "training dynamics: {} was written without a history; that of its {} epochs stays "
          "empty",
          checkpoint, taken.epochs);
    taken.start_history();
  } else if (!keep_history_) {
    taken.keeps_history = false;
    taken.history.clear();
  }
  accumulator_.restore(std::move(taken));
}

std::vector<std::int64_t> DynamicsRecorder::never_visited() {
  return runtime_.control().all_gather_v(
      std::span<const std::int64_t>(accumulator_.never_visited()));
}

void DynamicsRecorder::add_never_visited(const std::vector<prune::EpochRecord>& records) {
  const auto own = prune::exchange_epoch(records, num_samples_, runtime_.control());
  dist::together<prune::PruneError>(runtime_.control(),
                                    [&] { accumulator_.add_never_visited(own); });
}

void DynamicsRecorder::write(const std::string& path, const prune::ScoreSource& source,
                             const data::Dataset& dataset) {
  prune::DynamicsRows own;
  dist::together<prune::PruneError>(runtime_.control(), [&] { own = accumulator_.finish(); });
  prune::DynamicsTable table{source,
                             accumulator_.state().epochs,
                             accumulator_.state().window,
                             {},
                             prune::gather_on_root(own, runtime_.control())};
  if (runtime_.is_root()) {
    table.source.part_of = part_of(dataset);
    for (std::int64_t i = 0; i < num_samples_; ++i)
      table.labels.push_back(static_cast<std::int32_t>(dataset.label(i)));
  }
  using History = prune::DynamicsWriter::History;
  dist::FirstProblem problem;
  std::optional<prune::DynamicsWriter> file;
  problem.run([&] {
    if (runtime_.is_root()) file.emplace(path, table, keep_history_ ? History::kYes : History::kNo);
  });
  for (const auto& own_epoch : accumulator_.state().history) {  // rank 0 holds one at a time
    const auto epoch = prune::gather_on_root(own_epoch, runtime_.control());
    problem.run([&] {
      if (file) file->append_epoch(epoch);
    });
  }
  problem.run([&] {
    if (file) file->commit();
  });
  problem.throw_together<prune::PruneError>(runtime_.control());
}

}  // namespace diffprob::launch
