#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "dist/backoff.h"
#include "dist/communicator.h"
#include "dist/error.h"
#include "dist/flight_recorder.h"
#include "dist/host_collectives.h"
#include "dist/mpi_transport.h"
#include "dist/nccl_handle.h"
#include "dist/nccl_watchdog.h"

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
  for (const auto n : counts) {
    if (n != counts.front()) return false;
  }
  return true;
}

class NcclWork final : public Work {
 public:
  NcclWork(std::shared_ptr<NcclHandle> handle, std::shared_ptr<NcclOperation> operation, at::Device device, std::vector<at::Tensor> tensors)
      : handle_(std::move(handle)), operation_(std::move(operation)), device_(device), tensors_(std::move(tensors)) {}
  ~NcclWork() override {
    if (waited_) return;
    try {
      wait_stream();
    } catch (const std::exception& error) {
      spdlog::error("a collective that nobody waited for failed: {}", error.what());
    }
  }

  void wait_stream() override {
    waited_ = true;
    handle_->check_alive(operation_->what);
    C10_CUDA_CHECK(cudaStreamWaitEvent(c10::cuda::getCurrentCUDAStream(device_.index()), operation_->done, 0));
  }

  void wait_host() override {
    waited_ = true;
    const c10::cuda::CUDAGuard guard(device_);
    Backoff backoff;
    while (true) {
      const cudaError_t state = cudaEventQuery(operation_->done);
      // Also after success: an abort ends kernels early, and their events look like those of finished ones.
      if (state == cudaSuccess) return handle_->check_alive(operation_->what);
      if (state != cudaErrorNotReady) throw_failed(cudaGetErrorString(state));
      handle_->check_alive(operation_->what);
      if (backoff.pause() > operation_->timeout) {
        const std::string why = "waited " + std::to_string(std::chrono::duration<double>(backoff.elapsed()).count()) + " s";
        throw_failed(why + operation_->roll_call(operation_->what + " " + why));
      }
    }
  }

 private:
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

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<NcclHandle> handle, std::shared_ptr<FlightRecorder> recorder, std::shared_ptr<MpiTransport> messages,
                   at::Device device, Deadlines deadlines)
      : Communicator(std::move(recorder), device, deadlines),
        handle_(std::move(handle)),
        messages_(std::move(messages)),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device.index())),
        watchdog_(handle_, device.index()) {}

  void abort() noexcept override { handle_->abort("it was aborted"); }

  void watch_replay() override {
    const c10::cuda::CUDAGuard guard(device());
    auto operation = make_operation("replay of a recorded step");
    operation->finished = [] {};
    C10_CUDA_CHECK(cudaEventRecord(operation->done, c10::cuda::getCurrentCUDAStream(device().index())));
    watchdog_.watch(std::move(operation));
  }

 private:
  [[nodiscard]] std::shared_ptr<NcclOperation> make_operation(const std::string& what) {
    auto operation =
        std::make_shared<NcclOperation>(what + ": rank " + std::to_string(rank()) + " of " + std::to_string(world_size()), timeout());
    operation->roll_call = [messages = messages_](const std::string& reason) { return messages->roll_call(reason); };
    return operation;
  }

  /// Orders the own stream behind the current one, enqueues the calls as one group, records the end.
  template <class Calls>
  std::unique_ptr<Work> enqueue(const char* name, std::vector<at::Tensor> tensors, Calls calls) {
    const c10::cuda::CUDAGuard guard(device());
    auto operation = make_operation(std::string(name) + " " + recorder()->describe(sequence()));
    operation->finished = [records = recorder(), number = sequence()] { records->finish(number); };
    // Events of a capture tell nothing about a replay.
    const bool recording = c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None;
    C10_CUDA_CHECK(cudaEventRecord(operation->done, c10::cuda::getCurrentCUDAStream(device().index())));
    C10_CUDA_CHECK(cudaStreamWaitEvent(stream_, operation->done, 0));
    // In a capture the memory stays with the graph, and NcclWork keeps its tensors until the stream has waited.
    if (!recording) {
      for (const auto& tensor : tensors) c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
    }
    handle_->launch(operation->what, timeout(), calls);
    C10_CUDA_CHECK(cudaEventRecord(operation->done, stream_));
    recording ? operation->finished() : watchdog_.watch(operation);
    return std::make_unique<NcclWork>(handle_, std::move(operation), device(), std::move(tensors));
  }

  std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    const auto type = nccl_type(tensor.scalar_type());
    return enqueue("all_reduce", {tensor}, [&](ncclComm_t comm) {
      ncclAllReduce(tensor.data_ptr(), tensor.data_ptr(), static_cast<std::size_t>(tensor.numel()), type, nccl_op(op), comm, stream_);
    });
  }

  std::unique_ptr<Work> do_all_gather_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts) override {
    const auto type = nccl_type(input.scalar_type());
    const std::int64_t row = row_elements(output);
    return enqueue("all_gather", {output, input}, [&](ncclComm_t comm) {
      if (all_equal(counts)) {
        ncclAllGather(input.data_ptr(), output.data_ptr(), static_cast<std::size_t>(input.numel()), type, comm, stream_);
        return;
      }
      auto* to = static_cast<std::byte*>(output.data_ptr());
      for (int root = 0; root < world_size(); ++root) {
        const std::int64_t n = counts[static_cast<std::size_t>(root)] * row;
        if (n > 0) ncclBroadcast(input.data_ptr(), to, static_cast<std::size_t>(n), type, root, comm, stream_);
        to += n * output.element_size();
      }
    });
  }

  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts) override {
    const auto type = nccl_type(input.scalar_type());
    const std::int64_t row = row_elements(input);
    return enqueue("reduce_scatter", {output, input}, [&](ncclComm_t comm) {
      if (all_equal(counts)) {
        ncclReduceScatter(input.data_ptr(), output.data_ptr(), static_cast<std::size_t>(output.numel()), type, ncclSum, comm, stream_);
        return;
      }
      const auto* from = static_cast<const std::byte*>(input.data_ptr());
      for (int root = 0; root < world_size(); ++root) {
        const std::int64_t n = counts[static_cast<std::size_t>(root)] * row;
        if (n > 0) ncclReduce(from, output.data_ptr(), static_cast<std::size_t>(n), type, ncclSum, root, comm, stream_);
        from += n * input.element_size();
      }
    });
  }

  std::unique_ptr<Work> do_broadcast(at::Tensor tensor, int root) override {
    const auto type = nccl_type(tensor.scalar_type());
    return enqueue("broadcast", {tensor}, [&](ncclComm_t comm) {
      ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), static_cast<std::size_t>(tensor.numel()), type, root, comm, stream_);
    });
  }

  std::unique_ptr<Work> do_barrier() override {
    if (!token_.defined()) token_ = at::zeros({1}, at::TensorOptions(device()).dtype(at::kFloat));
    return enqueue("barrier", {token_},
                   [&](ncclComm_t comm) { ncclAllReduce(token_.data_ptr(), token_.data_ptr(), 1, ncclFloat32, ncclSum, comm, stream_); });
  }

  static std::int64_t row_elements(const at::Tensor& tensor) {
    std::int64_t row = 1;
    for (const auto n : tensor.sizes().slice(1)) row *= n;
    return row;
  }

  std::shared_ptr<NcclHandle> handle_;
  std::shared_ptr<MpiTransport> messages_;  // for the roll call after a deadline
  c10::cuda::CUDAStream stream_;
  NcclWatchdog watchdog_;
  at::Tensor token_;
};

/// NCCL hangs or fails obscurely when two ranks hold one GPU.
void refuse_shared_gpu(at::Device device, HostCollectives& host) {
  cudaDeviceProp properties{};
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.index()));
  std::array<char, sizeof(properties.uuid)> uuid{};
  std::memcpy(uuid.data(), &properties.uuid, uuid.size());
  const auto all = host.all_gather(uuid);
  for (std::size_t a = 0; a < all.size(); ++a) {
    for (std::size_t b = a + 1; b < all.size(); ++b) {
      TORCH_CHECK(all[a] != all[b], "ranks ", a, " and ", b, " hold the same GPU (equal UUIDs): give each rank its own, or use the CPU");
    }
  }
}

/// Rank 0's NCCL id, on every rank.
ncclUniqueId share_unique_id(HostCollectives& host) {
  ncclUniqueId id{};
  ncclResult_t state = ncclSuccess;
  std::string bytes;
  if (host.rank() == 0) {
    state = ncclGetUniqueId(&id);
    if (state == ncclSuccess) bytes.assign(id.internal, sizeof(id.internal));
  }
  bytes = host.broadcast(std::move(bytes), 0);  // empty: rank 0 failed, and nobody waits for it in vain
  if (bytes.size() != sizeof(id.internal)) throw CommError(c10::str("rank 0 got no NCCL id: ", ncclGetErrorString(state)));
  std::memcpy(id.internal, bytes.data(), bytes.size());
  return id;
}

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(at::Device device, Deadlines deadlines) {
  TORCH_CHECK(device.is_cuda() && device.has_index(), "NCCL wants a CUDA device with an index, got ", device);
  const c10::cuda::CUDAGuard guard(device);
  HostCollectives host(deadlines);
  if (std::getenv("DIFFPROB_TEST_SHARED_GPU") == nullptr) refuse_shared_gpu(device, host);  // tests give each rank an NCCL_HOSTID
  const ncclUniqueId id = share_unique_id(host);
  auto handle = std::make_shared<NcclHandle>(id, host.rank(), host.world_size(), deadlines.startup);
  auto recorder = FlightRecorder::make("tensors on " + device.str(), host.rank(), host.world_size());
  TransportOptions options;
  options.recorder = recorder;
  auto messages = std::make_shared<MpiTransport>(deadlines.startup, std::move(options));
  return std::make_unique<NcclCommunicator>(std::move(handle), std::move(recorder), std::move(messages), device, deadlines);
}

}  // namespace diffprob::dist
