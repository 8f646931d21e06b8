#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>
#include <spdlog/spdlog.h>

#include <cstring>
#include <optional>

#include "dist/communicator.h"
#include "dist/mpi/all_reduce.h"
#include "dist/mpi/check.h"
#include "dist/mpi/operation_queue.h"
#include "dist/mpi/transport.h"

namespace diffprob::dist {
namespace {

std::byte* bytes_of(const at::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.data_ptr());
}

LocalReduce reduce_for(at::ScalarType type, ReduceOp op) {
  switch (type) {
    case at::kFloat:
      return local_reduce<float>(op);
    case at::kDouble:
      return local_reduce<double>(op);
    case at::kBFloat16:
      return local_reduce<c10::BFloat16>(op);
    case at::kHalf:
      return local_reduce<c10::Half>(op);
    case at::kInt:
      return local_reduce<std::int32_t>(op);
    case at::kLong:
      return local_reduce<std::int64_t>(op);
    case at::kByte:
      return local_reduce<std::uint8_t>(op);
    default:
      TORCH_CHECK(false, "collectives cannot reduce ", type);
  }
}

/// Rows a rank -> elements a rank, for a tensor of `rows` rows like those of `whole`.
std::vector<std::int64_t> elements(const at::Tensor& whole, std::vector<std::int64_t> counts) {
  std::int64_t row = 1;
  for (const auto n : whole.sizes().slice(1)) row *= n;
  for (auto& n : counts) n *= row;
  return counts;
}

class DoneWork final : public Work {
 public:
  void wait_stream() override {}
  void wait_host() override {}
};

/// What a communicator and its unfinished works share. Operations point to the members and do not
/// own them: failed operations are kept for the rest of the process, while the transport must end
/// before MPI does.
struct Engine {
  explicit Engine(std::unique_ptr<MpiTransport> messages)
      : transport(std::move(messages)), all_reduce(*transport) {
    if (transport->world_size() > 1) queue.emplace();
  }
  std::unique_ptr<MpiTransport> transport;
  AllReduce all_reduce;
  std::optional<OperationQueue> queue;  // none on one rank; ends first
};

class MpiWork final : public Work {
 public:
  MpiWork(std::shared_ptr<Engine> engine, std::shared_ptr<Operation> operation)
      : engine_(std::move(engine)), operation_(std::move(operation)) {}
  ~MpiWork() override {
    if (waited_) return;
    try {
      wait_host();
    } catch (const std::exception& error) {
      spdlog::error("a collective failed before anything waited for it: {}", error.what());
    }
  }
  void wait_stream() override { wait_host(); }
  void wait_host() override {
    waited_ = true;
    engine_->queue->wait(operation_);
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Operation> operation_;
  bool waited_ = false;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(std::unique_ptr<MpiTransport> transport, std::shared_ptr<FlightRecorder> recorder,
                  Deadlines deadlines)
      : Communicator(std::move(recorder), at::kCPU, deadlines),
        engine_(std::make_shared<Engine>(std::move(transport))) {}

  void abort() noexcept override { engine_->transport->abort(); }

  std::unique_ptr<Communicator> subset(const std::string& name,
                                       const std::vector<int>& ranks) override {
    auto members = FlightRecorder::make(name, ranks, rank());
    TransportOptions options;
    options.recorder = members;
    options.ranks = ranks;
    auto transport = std::make_unique<MpiTransport>(deadlines().startup, std::move(options));
    return std::make_unique<MpiCommunicator>(std::move(transport), std::move(members), deadlines());
  }

 private:
  /// `collective(transport)` runs in its turn; on one rank at once. It must own the tensors it
  /// uses.
  template <class Collective>
  std::unique_ptr<Work> enqueue(Collective collective) {
    auto run = [transport = engine_->transport.get(), records = recorder(), number = sequence(),
                limit = timeout(), collective = std::move(collective)] {
      records->start(number);
      transport->set_timeout(limit);
      try {
        collective(*transport);
      } catch (...) {
        records->fail(number);
        throw;
      }
      records->finish(number);
    };
    if (engine_->queue)
      return std::make_unique<MpiWork>(engine_, engine_->queue->push(std::move(run)));
    run();
    return std::make_unique<DoneWork>();
  }

  std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    const auto reduce = reduce_for(tensor.scalar_type(), op);  // before the tensor moves
    return enqueue(
        [tensor = std::move(tensor), reduce, all_reduce = &engine_->all_reduce](MpiTransport&) {
          (*all_reduce)(bytes_of(tensor), tensor.numel(), reduce, "all_reduce");
        });
  }

  std::unique_ptr<Work> do_all_gather_v(at::Tensor output, at::Tensor input,
                                        std::vector<std::int64_t> counts) override {
    counts = elements(output, std::move(counts));
    for (auto& n : counts) n *= output.element_size();
    return enqueue([output = std::move(output), input = std::move(input),
                    counts = std::move(counts)](MpiTransport& transport) {
      transport.all_gather(bytes_of(input), bytes_of(output), counts, "all_gather");
    });
  }

  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input,
                                            std::vector<std::int64_t> counts) override {
    const auto reduce = reduce_for(input.scalar_type(), ReduceOp::kSum);
    counts = elements(input, std::move(counts));
    return enqueue([output = std::move(output), input = std::move(input),
                    counts = std::move(counts), reduce](MpiTransport& transport) {
      dist::reduce_scatter(transport, bytes_of(input), bytes_of(output), counts, reduce,
                           "reduce_scatter");
    });
  }

  std::unique_ptr<Work> do_broadcast(at::Tensor tensor, int root) override {
    return enqueue([tensor = std::move(tensor), root](MpiTransport& transport) {
      transport.broadcast(bytes_of(tensor), static_cast<std::int64_t>(tensor.nbytes()), root,
                          "broadcast");
    });
  }

  std::unique_ptr<Work> do_barrier() override {
    return enqueue([](MpiTransport& transport) { transport.barrier("barrier"); });
  }

  std::shared_ptr<Engine> engine_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(Deadlines deadlines) {
  int rank = 0;
  int world_size = 1;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size), "MPI_Comm_size");
  auto recorder = FlightRecorder::make("tensors", rank, world_size);
  TransportOptions options;
  options.recorder = recorder;
  auto transport = std::make_unique<MpiTransport>(deadlines.startup, std::move(options));
  return std::make_unique<MpiCommunicator>(std::move(transport), std::move(recorder), deadlines);
}

}  // namespace diffprob::dist
