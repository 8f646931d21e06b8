#include "dist/gpu/nccl_communicator.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <nccl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <type_traits>
#include <vector>

#include "dist/error.h"
#include "dist/flight_recorder.h"
#include "dist/gpu/cuda_device.h"
#include "dist/gpu/nccl_handle.h"
#include "dist/gpu/nccl_watchdog.h"
#include "dist/gpu/stream_capture.h"
#include "dist/mpi/abandoned.h"
#include "dist/mpi/backoff.h"
#include "dist/mpi/transport.h"
#include "dist/padded_rows.h"

namespace diffprob::dist {
namespace {

ncclDataType_t nccl_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kHalf:
      return ncclFloat16;
    case at::kInt:
      return ncclInt32;
    case at::kLong:
      return ncclInt64;
    case at::kByte:
      return ncclUint8;
    default:
      TORCH_CHECK(false, "NCCL collectives cannot carry ", type);
  }
}

ncclRedOp_t nccl_op(ReduceOp op) {
  return op == ReduceOp::kMax ? ncclMax : op == ReduceOp::kMin ? ncclMin : ncclSum;
}

bool all_equal(const std::vector<std::int64_t>& counts) {
  return std::all_of(counts.begin(), counts.end(),
                     [&](std::int64_t n) { return n == counts.front(); });
}

c10::Stream current_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

c10::Stream own_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type())
      .getStreamFromGlobalPool(device, /*isHighPriority=*/true);
}

class NcclWork final : public Work {
 public:
  NcclWork(std::shared_ptr<NcclHandle> handle, std::shared_ptr<NcclOperation> operation,
           at::Device device, std::vector<at::Tensor> tensors)
      : handle_(std::move(handle)),
        operation_(std::move(operation)),
        device_(device),
        tensors_(std::move(tensors)) {}
  ~NcclWork() override {
    if (waited_) return;
    try {
      wait_stream();
    } catch (const std::exception& error) {
      spdlog::error("a collective failed before anything waited for it: {}", error.what());
    }
  }

  void wait_stream() override {
    waited_ = true;
    handle_->check_alive(operation_->what);
    operation_->done.block(current_stream(device_));
  }

  void wait_host() override {
    waited_ = true;
    Backoff backoff;
    while (!is_done()) {
      handle_->check_alive(operation_->what);
      if (backoff.pause() > operation_->timeout) {
        const std::string why =
            "waited " + std::to_string(std::chrono::duration<double>(backoff.elapsed()).count()) +
            " s";
        throw_failed(why + operation_->roll_call(operation_->what + " " + why));
      }
    }
    // An abort ends kernels early, and their events look like those of finished ones.
    handle_->check_alive(operation_->what);
  }

 private:
  [[nodiscard]] bool is_done() {
    try {
      return operation_->done.query();
    } catch (const c10::Error& error) {
      throw_failed(error.what_without_backtrace());
    }
  }
  [[noreturn]] void throw_failed(const std::string& why) {
    const std::string message = operation_->what + " failed: " + why;
    handle_->abort(message);
    throw CommError(message);
  }

  std::shared_ptr<NcclHandle> handle_;
  std::shared_ptr<NcclOperation> operation_;
  at::Device device_;
  std::vector<at::Tensor> tensors_;
  bool waited_ = false;
};

/// What ranks tell each other about a new communicator: an id that rank 0 of them has made.
struct NewId {
  ncclUniqueId id{};
  ncclResult_t state = ncclSuccess;
};

/// Collective over the ranks of `messages`.
ncclUniqueId share_unique_id(MpiTransport& messages) {
  const auto made = std::make_shared<NewId>();
  if (messages.rank() == 0) made->state = ncclGetUniqueId(&made->id);
  try {
    messages.broadcast(reinterpret_cast<std::byte*>(made.get()), sizeof(NewId), 0, "NCCL id");
  } catch (...) {
    abandon(made);  // MPI may still write to it
    throw;
  }
  // A failed rank 0 says so: nobody waits for it in vain.
  if (made->state != ncclSuccess)
    throw CommError(c10::str("the first rank got no NCCL id: ", ncclGetErrorString(made->state)));
  return made->id;
}

std::shared_ptr<MpiTransport> messages_of(std::shared_ptr<FlightRecorder> recorder,
                                          const std::vector<int>& ranks,
                                          const Deadlines& deadlines) {
  TransportOptions options;
  options.recorder = std::move(recorder);
  options.ranks = ranks;
  return std::make_shared<MpiTransport>(deadlines.startup, std::move(options));
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<NcclHandle> handle, std::shared_ptr<FlightRecorder> recorder,
                   std::shared_ptr<MpiTransport> messages, c10::Stream stream, Deadlines deadlines)
      : Communicator(std::move(recorder), stream.device(), deadlines),
        handle_(std::move(handle)),
        messages_(std::move(messages)),
        stream_(stream),
        native_stream_(static_cast<cudaStream_t>(stream_.native_handle())),
        watchdog_(handle_, stream.device()) {}

  void abort() noexcept override { handle_->abort("it was aborted"); }

  /// On the same stream, so that the kernels of both never wait for each other on different ranks.
  std::unique_ptr<Communicator> subset(const std::string& name,
                                       const std::vector<int>& ranks) override {
    const c10::DeviceGuard guard(device());
    auto members = FlightRecorder::make(name + " on " + device().str(), ranks, rank());
    auto messages = messages_of(members, ranks, deadlines());
    auto handle = std::make_shared<NcclHandle>(share_unique_id(*messages), members->rank(),
                                               members->world_size(), deadlines().startup);
    return std::make_unique<NcclCommunicator>(std::move(handle), std::move(members),
                                              std::move(messages), stream_, deadlines());
  }

  void watch_replay() override {
    auto operation = make_operation("replay of a captured step");
    handle_->check_alive(operation->what);  // nothing else asks between replays, and an abort waits
                                            // for the owner of the graph
    operation->finished = [] {};
    operation->done.record(current_stream(device()));
    watchdog_.watch(std::move(operation));
  }

 private:
  [[nodiscard]] std::shared_ptr<NcclOperation> make_operation(const std::string& what) {
    const std::string who = what + ": " + recorder()->who();
    auto operation =
        std::make_shared<NcclOperation>(NcclOperation{who, timeout(), c10::Event(device().type())});
    operation->roll_call = [messages = messages_](const std::string& reason) {
      return messages->roll_call(reason);
    };
    return operation;
  }

  /// Nothing is done behind an operation.
  struct Nothing {
    void operator()() const {}
  };

  /// Orders the own stream behind the current one, enqueues the calls as one group, then, on the
  /// own stream, what `behind` does; records the end. NcclWork keeps the tensors until a stream
  /// that may use their memory again has waited.
  template <class Calls, class Behind = Nothing>
  std::unique_ptr<Work> enqueue(const char* name, std::vector<at::Tensor> tensors, Calls calls,
                                Behind behind = {}) {
    const c10::DeviceGuard guard(device());
    auto operation = make_operation(std::string(name) + " " + recorder()->describe(sequence()));
    operation->finished = [records = recorder(), number = sequence()] { records->finish(number); };
    const bool recording =
        is_recording(device());  // events of a capture tell nothing about a replay
    operation->done.record(current_stream(device()));
    operation->done.block(stream_);
    handle_->launch(operation->what, timeout(), calls);
    operation->done.record(stream_);
    auto work = std::make_unique<NcclWork>(handle_, operation, device(),
                                           std::move(tensors));  // waits when `behind` throws
    if constexpr (!std::is_same_v<Behind, Nothing>) {
      const c10::StreamGuard own(stream_);
      behind();
      operation->done.record(stream_);
    }
    recording ? operation->finished() : watchdog_.watch(std::move(operation));
    return work;
  }

  std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    const auto type = nccl_type(tensor.scalar_type());
    return enqueue("all_reduce", {tensor}, [&](ncclComm_t comm) {
      ncclAllReduce(tensor.data_ptr(), tensor.data_ptr(), static_cast<std::size_t>(tensor.numel()),
                    type, nccl_op(op), comm, native_stream_);
    });
  }

  std::unique_ptr<Work> do_all_gather_v(at::Tensor output, at::Tensor input,
                                        std::vector<std::int64_t> counts) override {
    if (all_equal(counts)) return gather(output, input, {output, input}, Nothing{});
    const PaddedRows& padded = padded_rows(counts);
    const at::Tensor part = padded.pad_own(input);
    auto sizes = part.sizes().vec();
    sizes[0] *= world_size();
    const at::Tensor whole = at::empty(sizes, part.options());
    return gather(whole, part, {output, whole, part, padded.places()},
                  [&] { padded.unpad_all(output, whole); });
  }
  template <class Behind>
  std::unique_ptr<Work> gather(const at::Tensor& whole, const at::Tensor& part,
                               std::vector<at::Tensor> kept, Behind behind) {
    const auto n = static_cast<std::size_t>(part.numel());
    const auto calls = [&](ncclComm_t comm) {
      ncclAllGather(part.data_ptr(), whole.data_ptr(), n, nccl_type(part.scalar_type()), comm,
                    native_stream_);
    };
    return enqueue("all_gather", std::move(kept), calls, behind);
  }

  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input,
                                            std::vector<std::int64_t> counts) override {
    if (all_equal(counts)) return scatter(output, input, {output, input}, Nothing{});
    const PaddedRows& padded = padded_rows(counts);
    const at::Tensor whole = padded.pad_all(input);
    auto sizes = whole.sizes().vec();
    sizes[0] = padded.block();
    const at::Tensor part = at::empty(sizes, whole.options());
    return scatter(part, whole, {output, whole, part},
                   [&] { output.copy_(part.narrow(0, 0, output.size(0))); });
  }
  template <class Behind>
  std::unique_ptr<Work> scatter(const at::Tensor& part, const at::Tensor& whole,
                                std::vector<at::Tensor> kept, Behind behind) {
    const auto n = static_cast<std::size_t>(part.numel());
    const auto calls = [&](ncclComm_t comm) {
      ncclReduceScatter(whole.data_ptr(), part.data_ptr(), n, nccl_type(part.scalar_type()),
                        ncclSum, comm, native_stream_);
    };
    return enqueue("reduce_scatter", std::move(kept), calls, behind);
  }

  std::unique_ptr<Work> do_broadcast(at::Tensor tensor, int root) override {
    const auto type = nccl_type(tensor.scalar_type());
    return enqueue("broadcast", {tensor}, [&](ncclComm_t comm) {
      ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), static_cast<std::size_t>(tensor.numel()),
                    type, root, comm, native_stream_);
    });
  }

  std::unique_ptr<Work> do_barrier() override {
    if (!token_.defined()) token_ = at::zeros({1}, at::TensorOptions(device()).dtype(at::kFloat));
    return enqueue("barrier", {token_}, [&](ncclComm_t comm) {
      ncclAllReduce(token_.data_ptr(), token_.data_ptr(), 1, ncclFloat32, ncclSum, comm,
                    native_stream_);
    });
  }

  /// Kept as long as this object, one for each way in which batches fall on the ranks, of which
  /// there are few: a captured step can take no copy from the host, and goes on reading them.
  const PaddedRows& padded_rows(const std::vector<std::int64_t>& counts) {
    auto found = padded_.find(counts);
    if (found == padded_.end()) found = padded_.emplace(counts, PaddedRows(counts, device())).first;
    return found->second;
  }

  std::shared_ptr<NcclHandle> handle_;
  std::shared_ptr<MpiTransport> messages_;  // for the roll call after a deadline
  c10::Stream stream_;
  cudaStream_t native_stream_;
  NcclWatchdog watchdog_;
  at::Tensor token_;
  std::map<std::vector<std::int64_t>, PaddedRows> padded_;
};

/// NCCL hangs or fails obscurely when two ranks hold one GPU.
void refuse_shared_gpu(at::Device device, HostCollectives& host) {
  std::map<CudaUuid, int> owners;
  int rank = 0;
  for (const CudaUuid& uuid : host.all_gather(uuid_of_cuda_device(device.index()))) {
    const auto [owner, alone] = owners.emplace(uuid, rank);
    TORCH_CHECK(alone, "ranks ", owner->second, " and ", rank,
                " use the same GPU (equal UUIDs): give each rank a separate GPU, or use the CPU");
    ++rank;
  }
}

}  // namespace

std::unique_ptr<Communicator> connect_nccl(at::Device device, HostCollectives& host,
                                           Deadlines deadlines) {
  const c10::DeviceGuard guard(device);
  auto recorder =
      FlightRecorder::make("tensors on " + device.str(), host.rank(), host.world_size());
  auto messages = messages_of(recorder, {}, deadlines);
  auto handle = std::make_shared<NcclHandle>(share_unique_id(*messages), host.rank(),
                                             host.world_size(), deadlines.startup);
  return std::make_unique<NcclCommunicator>(std::move(handle), std::move(recorder),
                                            std::move(messages), own_stream(device), deadlines);
}

std::unique_ptr<Communicator> make_nccl_communicator(at::Device device, Deadlines deadlines) {
  TORCH_CHECK(device.is_cuda() && device.has_index(),
              "NCCL: expected a CUDA device with an index, got ", device);
  HostCollectives host(deadlines);
  if (std::getenv("DIFFPROB_TEST_SHARED_GPU") == nullptr)
    refuse_shared_gpu(device, host);  // tests give each rank an NCCL_HOSTID
  return connect_nccl(device, host, deadlines);
}

}  // namespace diffprob::dist
