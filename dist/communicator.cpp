#include "dist/communicator.h"

#include <c10/util/Exception.h>

#include <numeric>

namespace diffprob::dist {
namespace {

const char* dtype_name(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    case at::kByte:
      return "uint8";
    default:
      return c10::toString(type);  // refused by the backends
  }
}

void check_buffer(const at::Tensor& tensor, at::Device device, const char* operation) {
  TORCH_CHECK(tensor.defined(), operation, ": tensor is not defined");
  TORCH_CHECK(tensor.is_non_overlapping_and_dense(), operation, ": tensor must be dense, sizes ",
              tensor.sizes(), " strides ", tensor.strides());
  TORCH_CHECK(tensor.device() == device, operation, ": tensor lives on ", tensor.device(),
              ", this communicator serves ", device);
}

void check_pair(const at::Tensor& output, const at::Tensor& input, at::Device device,
                const char* operation) {
  check_buffer(output, device, operation);
  check_buffer(input, device, operation);
  TORCH_CHECK(output.is_contiguous() && input.is_contiguous(), operation,
              ": tensors must be contiguous");
  TORCH_CHECK(output.scalar_type() == input.scalar_type(), operation, ": output is ",
              output.scalar_type(), ", input ", input.scalar_type());
}

/// Elements a rank for counts of rows; checks that the whole and the part agree with them.
void check_rows(const at::Tensor& whole, const at::Tensor& part,
                const std::vector<std::int64_t>& counts, int rank, int world_size,
                const char* operation) {
  TORCH_CHECK(static_cast<int>(counts.size()) == world_size, operation, ": ", counts.size(),
              " counts for ", world_size, " ranks");
  for (const auto n : counts) TORCH_CHECK(n >= 0, operation, ": negative count ", n);
  const std::int64_t rows = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  TORCH_CHECK(whole.dim() >= 1 && whole.size(0) == rows, operation, ": counts add up to ", rows,
              " rows, the tensor has sizes ", whole.sizes());
  TORCH_CHECK(part.dim() == whole.dim() && part.size(0) == counts[static_cast<std::size_t>(rank)] &&
                  part.sizes().slice(1) == whole.sizes().slice(1),
              operation, ": local part has sizes ", part.sizes(), ", expected ",
              counts[static_cast<std::size_t>(rank)], " rows like those of ", whole.sizes());
}

}  // namespace

Communicator::Communicator(int rank, int world_size, at::Device device, Deadlines deadlines)
    : Communicator(FlightRecorder::make(device.is_cpu() ? "tensors" : "tensors on " + device.str(),
                                        rank, world_size),
                   device, deadlines) {}

Communicator::Communicator(std::shared_ptr<FlightRecorder> recorder, at::Device device,
                           Deadlines deadlines)
    : rank_(recorder->rank()),
      world_size_(recorder->world_size()),
      device_(device),
      deadlines_(deadlines),
      recorder_(std::move(recorder)) {}

std::unique_ptr<Communicator> Communicator::subset(const std::string& name,
                                                   const std::vector<int>& /*ranks*/) {
  TORCH_CHECK(false, name, ": this communicator has no subsets");
}

void Communicator::record(const char* kind, const at::Tensor& tensor,
                          const std::source_location& where) {
  sequence_ = recorder_->enqueue({kind, dtype_name(tensor.scalar_type()), tensor.sizes(), where});
}

std::unique_ptr<Work> Communicator::all_reduce(at::Tensor tensor, ReduceOp op,
                                               std::source_location where) {
  check_buffer(tensor, device_, "all_reduce");
  record("all_reduce", tensor, where);
  return do_all_reduce(std::move(tensor), op);
}

std::unique_ptr<Work> Communicator::all_gather(at::Tensor output, at::Tensor input,
                                               std::source_location where) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world_size_), input.size(0));
  return all_gather_v(std::move(output), std::move(input), std::move(counts), where);
}

std::unique_ptr<Work> Communicator::all_gather_v(at::Tensor output, at::Tensor input,
                                                 std::vector<std::int64_t> counts,
                                                 std::source_location where) {
  check_pair(output, input, device_, "all_gather");
  check_rows(output, input, counts, rank_, world_size_, "all_gather");
  record("all_gather", input, where);
  return do_all_gather_v(std::move(output), std::move(input), std::move(counts));
}

std::unique_ptr<Work> Communicator::reduce_scatter(at::Tensor output, at::Tensor input,
                                                   std::source_location where) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world_size_), output.size(0));
  return reduce_scatter_v(std::move(output), std::move(input), std::move(counts), where);
}

std::unique_ptr<Work> Communicator::reduce_scatter_v(at::Tensor output, at::Tensor input,
                                                     std::vector<std::int64_t> counts,
                                                     std::source_location where) {
  check_pair(output, input, device_, "reduce_scatter");
  check_rows(input, output, counts, rank_, world_size_, "reduce_scatter");
  record("reduce_scatter", input, where);
  return do_reduce_scatter_v(std::move(output), std::move(input), std::move(counts));
}

std::unique_ptr<Work> Communicator::broadcast(at::Tensor tensor, int root,
                                              std::source_location where) {
  check_buffer(tensor, device_, "broadcast");
  TORCH_CHECK(root >= 0 && root < world_size_, "broadcast: root ", root, " is not a rank of ",
              world_size_);
  record("broadcast", tensor, where);
  return do_broadcast(std::move(tensor), root);
}

std::unique_ptr<Work> Communicator::barrier(std::source_location where) {
  sequence_ = recorder_->enqueue({"barrier", "", {}, where});
  return do_barrier();
}

}  // namespace diffprob::dist
