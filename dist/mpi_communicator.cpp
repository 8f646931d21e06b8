#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>
#include <spdlog/spdlog.h>

#include <cstring>

#include "dist/communicator.h"
#include "dist/mpi_transport.h"
#include "dist/operation_queue.h"

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
      return local_reduce<c10::BFloat16, float>(op);
    case at::kHalf:
      return local_reduce<c10::Half, float>(op);
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

class MpiWork final : public Work {
 public:
  MpiWork(std::shared_ptr<OperationQueue> queue, std::shared_ptr<Operation> operation)
      : queue_(std::move(queue)), operation_(std::move(operation)) {}
  ~MpiWork() override {
    if (waited_) return;
    try {
      wait_host();
    } catch (const std::exception& error) {
      spdlog::error("a collective that nobody waited for failed: {}", error.what());
    }
  }
  void wait_stream() override { wait_host(); }
  void wait_host() override {
    waited_ = true;
    queue_->wait(operation_);
  }

 private:
  std::shared_ptr<OperationQueue> queue_;
  std::shared_ptr<Operation> operation_;
  bool waited_ = false;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<MpiTransport> transport, Deadlines deadlines)
      : Communicator(transport->rank(), transport->world_size(), at::kCPU, deadlines), transport_(std::move(transport)) {
    if (world_size() > 1) queue_ = std::make_shared<OperationQueue>();
  }

  void abort() noexcept override { transport_->abort(); }

 private:
  /// `operation(transport)` runs in its turn; on one rank at once. It must own the tensors it uses.
  template <class Collective>
  std::unique_ptr<Work> enqueue(Collective collective) {
    if (!queue_) {
      collective(*transport_);
      return std::make_unique<DoneWork>();
    }
    auto run = [transport = transport_, limit = timeout(), collective = std::move(collective)] {
      transport->set_timeout(limit);
      collective(*transport);
    };
    return std::make_unique<MpiWork>(queue_, queue_->push(std::move(run)));
  }

  std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    const auto reduce = reduce_for(tensor.scalar_type(), op);  // before the tensor moves
    return enqueue([tensor = std::move(tensor), reduce](MpiTransport& transport) {
      transport.all_reduce(bytes_of(tensor), tensor.numel(), reduce, "all_reduce");
    });
  }

  std::unique_ptr<Work> do_all_gather_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts) override {
    counts = elements(output, std::move(counts));
    for (auto& n : counts) n *= output.element_size();
    return enqueue([output = std::move(output), input = std::move(input), counts = std::move(counts)](MpiTransport& transport) {
      transport.all_gather(bytes_of(input), bytes_of(output), counts, "all_gather");
    });
  }

  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts) override {
    const auto reduce = reduce_for(input.scalar_type(), ReduceOp::kSum);
    counts = elements(input, std::move(counts));
    return enqueue([output = std::move(output), input = std::move(input), counts = std::move(counts), reduce](MpiTransport& transport) {
      transport.reduce_scatter(bytes_of(input), bytes_of(output), counts, reduce, "reduce_scatter");
    });
  }

  std::unique_ptr<Work> do_broadcast(at::Tensor tensor, int root) override {
    return enqueue([tensor = std::move(tensor), root](MpiTransport& transport) {
      transport.broadcast(bytes_of(tensor), static_cast<std::int64_t>(tensor.nbytes()), root, "broadcast");
    });
  }

  std::unique_ptr<Work> do_barrier() override {
    return enqueue([](MpiTransport& transport) { transport.barrier("barrier"); });
  }

  std::shared_ptr<MpiTransport> transport_;
  std::shared_ptr<OperationQueue> queue_;  // null on one rank
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(Deadlines deadlines) {
  return std::make_unique<MpiCommunicator>(std::make_shared<MpiTransport>(deadlines.startup), deadlines);
}

}  // namespace diffprob::dist
