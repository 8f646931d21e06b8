#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "data/loading/loader.h"
#include "dist/reducer/gradient_places.h"
#include "dist/reducer/gradient_reducer.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/network.h"
#include "launch/config/config.h"
#include "launch/job/run_ahead.h"
#include "launch/job/runtime.h"
#include "launch/observe/step_timer.h"
#include "launch/train/averaged_statistics.h"
#include "launch/train/batch_upload.h"
#include "launch/train/dynamics/step_records.h"
#include "launch/train/head_groups.h"
#include "launch/train/head_optimizer.h"
#include "launch/train/step_graph.h"
#include "model/head/sharded_head.h"
#include "model/networks/backbone.h"
#include "model/networks/sixteen_bit_weights.h"
#include "model/optim/buffer_snapshot.h"
#include "model/optim/ema.h"
#include "model/optim/loss_scaler.h"
#include "model/optim/skipped_updates.h"

namespace diffprob::launch {

/// Options of the head that a TrainStep trains.
[[nodiscard]] model::HeadOptions head_options(const Config& config, std::int64_t num_classes,
                                              std::uint64_t seed);

/// Since the last time they were taken, over all ranks; lives on the device, so that a step never
/// waits for it.
struct RunningMeans {
  double loss = 0;  ///< of the steps whose loss is finite; NaN when there was none
  double accuracy = 0;
  double gradient_norm = 0;  ///< of the backbone, before clipping, of those steps
};

/// Why steps of this configuration cannot be recorded into a CUDA graph; empty: they can.
[[nodiscard]] std::string graph_obstacle(const Config& config, const Runtime& runtime);

/// Network, head, optimisers and reducer of one training, and its step. One per rank; every member
/// is collective unless it says otherwise.
class TrainStep {
 public:
  TrainStep(const Config& config, std::int64_t num_classes, std::uint64_t seed, Runtime& runtime);

  /// Takes the weights of the network from a weight file or checkpoint folder, before the first
  /// step; the average over time starts from them. Returns load_backbone_weights' remark and throws
  /// what it throws. Not collective.
  std::string start_from(const std::string& path, const NetworkShape& shape_of_file);
  /// One update on this rank's rows of global batch number `step`. A loss or gradient that is not
  /// finite on any rank leaves weights, momenta and statistics of all ranks as they were. On a GPU,
  /// after a few steps, one that was recorded into a CUDA graph is replayed (train.cuda_graph),
  /// unless steps are recorded for dynamics.
  void step(const data::Batch& batch, std::int64_t step, double learning_rate);
  [[nodiscard]] RunningMeans take_means();
  /// Updates left out. The same on every rank; not collective.
  [[nodiscard]] model::SkippedUpdates::Found take_skipped() { return skipped_.take(); }

  /// The network as it is to be verified: statistics averaged over ranks, weights averaged over
  /// time when train.ema_decay asks for it.
  class ForEvaluation {
   public:
    explicit ForEvaluation(TrainStep& train_step);

   private:
    std::optional<model::Ema::Swapped> swapped_;
    AveragedStatistics statistics_;
  };

  [[nodiscard]] model::Backbone& backbone() noexcept { return *backbone_; }
  [[nodiscard]] model::ShardedHead& head() noexcept { return head_; }
  [[nodiscard]] StepTimer& timer() noexcept { return timer_; }
  /// Live statistics that differ from rank to rank: of the network and of its average over time
  /// ("ema." before the name).
  [[nodiscard]] model::StateDict statistics() const;
  /// Live tensors: checkpoints copy from them and into them. local: statistics(), or copies of them
  /// while they are averaged.
  [[nodiscard]] CheckpointState state(model::StateDict local);
  /// Every later step puts there what it says of its rows. Not collective.
  void record_into(StepRecords& records) noexcept { records_ = &records; }
  /// Of an earlier part of this training. Not collective.
  void set_skipped_before(std::int64_t total) { skipped_ = model::SkippedUpdates(total); }

 private:
  /// What a step works on: this rank's rows on the device, and the numbers that change from step to
  /// step.
  struct Input {
    BatchUpload::Batch batch;
    std::uint64_t key;        ///< of dropout, class sampling and random margins
    at::Tensor device_key{};  ///< [1] int64, the same for a captured step
    std::int64_t step = 0;
    double learning_rate = 0;
    at::Tensor device_rate{};  ///< scalar float32, the same for a captured step
    at::Tensor device_step{};  ///< [1] int64, the same for a captured step of a head in bf16
  };
  void replay(const Input& input);
  /// All device work of an update.
  void update(const Input& input, const data::Batch* records_of);
  /// What the network is fed: float32, or, by the own kernel, in the precision of the step with
  /// pixels of 16 bytes.
  [[nodiscard]] at::Tensor faces_of(const at::Tensor& images) const;
  void micro_step(const Input& input, std::int64_t micro, const data::Batch* records_of);
  /// Whether the update is to be made, on all ranks alike, and how the network's gradients are
  /// scaled; notes the means.
  [[nodiscard]] model::StepControl decide(const Input& input);

  const Config& config_;
  std::uint64_t seed_;
  Runtime& runtime_;
  dist::GradientPlaces places_;
  model::SixteenBitWeights weights_;
  std::shared_ptr<model::Backbone> backbone_;
  HeadGroups head_groups_;
  model::ShardedHead head_;
  std::vector<at::Tensor> parameters_;
  dist::GradientReducer reducer_;
  std::unique_ptr<model::Optimizer> optimizer_;
  HeadOptimizer head_optimizer_;
  std::optional<model::LossScaler> scaler_;
  std::optional<model::Ema> ema_;
  model::BufferSnapshot snapshot_;
  model::SkippedUpdates skipped_;
  StepTimer timer_;
  StepRecords* records_ = nullptr;
  BatchUpload upload_;
  bool use_graph_;
  std::int64_t own_steps_ = 0;  ///< made by this object
  RunAhead run_ahead_;
  StepGraph graph_;
  Input captured_{};  ///< what the graph reads
  at::Tensor apply_;  ///< scalar: whether the last update was made
  at::ScalarType precision_;
  bool own_faces_;                        ///< train.untried_kernels has "faces"
  std::vector<std::int64_t> micro_rows_;  ///< of a micro-batch, a rank
  at::Tensor loss_;                       ///< scalar, of this step, the mean over its micro-batches
  at::Tensor correct_;                    ///< scalar, right predictions of this rank
  at::Tensor sums_;  ///< [5] float64: loss, gradient norm, steps with finite ones; right
                     ///< predictions, rows of this rank
};

}  // namespace diffprob::launch
