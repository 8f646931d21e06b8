#include "dist/mpi/host_collectives.h"

#include <array>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "dist/flight_recorder.h"
#include "dist/mpi/abandoned.h"
#include "dist/mpi/all_reduce.h"
#include "dist/mpi/check.h"
#include "dist/mpi/local_reduce.h"
#include "dist/mpi/transport.h"

namespace diffprob::dist {
namespace {

using Buffer = std::vector<std::byte>;

std::shared_ptr<Buffer> copy_of(std::span<const std::byte> bytes) {
  return std::make_shared<Buffer>(bytes.begin(), bytes.end());
}

/// Runs a collective; if it fails, the buffers it used stay alive, for MPI may touch them later.
template <class Operation>
void guarded(std::initializer_list<std::shared_ptr<const void>> buffers, Operation operation) {
  try {
    operation();
  } catch (...) {
    for (const auto& buffer : buffers) abandon(buffer);
    throw;
  }
}

std::shared_ptr<FlightRecorder> make_recorder() {
  int rank = 0;
  int world_size = 1;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size), "MPI_Comm_size");
  return FlightRecorder::make("host values", rank, world_size);
}

TransportOptions recorded_by(std::shared_ptr<FlightRecorder> recorder) {
  TransportOptions options;
  options.recorder = std::move(recorder);
  return options;
}

std::int64_t sum(std::span<const std::int64_t> values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

template <class T>
std::array<std::int64_t, 1> shape_of(std::span<T> values) {
  return {static_cast<std::int64_t>(values.size())};
}

template <class T>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<T, float>) return "float32";
  if constexpr (std::is_same_v<T, double>) return "float64";
  if constexpr (std::is_same_v<T, std::int32_t>) return "int32";
  if constexpr (std::is_same_v<T, std::int64_t>) return "int64";
  return "uint64";
}

}  // namespace

struct HostCollectives::Impl {
  explicit Impl(Deadlines limits)
      : deadlines(limits),
        recorder(make_recorder()),
        transport(limits.startup, recorded_by(recorder)) {}

  [[nodiscard]] std::size_t ranks() const {
    return static_cast<std::size_t>(transport.world_size());
  }

  /// values[r] goes to rank r -> what rank r sent here.
  std::vector<std::int64_t> swap_counts(std::span<const std::int64_t> values,
                                        std::string_view what) {
    const auto sent = copy_of(std::as_bytes(values));
    const auto got = std::make_shared<Buffer>(sent->size());
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (std::size_t r = 0; r < ranks(); ++r) {
      outgoing.push_back({sent->data() + r * sizeof(std::int64_t), sizeof(std::int64_t)});
      incoming.push_back({got->data() + r * sizeof(std::int64_t), sizeof(std::int64_t)});
    }
    guarded({sent, got}, [&] { transport.exchange(outgoing, incoming, what); });
    std::vector<std::int64_t> counts(ranks());
    std::memcpy(counts.data(), got->data(), got->size());
    return counts;
  }

  Deadlines deadlines;
  std::shared_ptr<FlightRecorder> recorder;
  MpiTransport transport;
  AllReduce all_reduce{transport};
};

HostCollectives::HostCollectives(Deadlines deadlines) : impl_(std::make_unique<Impl>(deadlines)) {}
HostCollectives::~HostCollectives() = default;

int HostCollectives::rank() const noexcept {
  return impl_->transport.rank();
}
int HostCollectives::world_size() const noexcept {
  return impl_->transport.world_size();
}

void HostCollectives::set_phase(Phase phase) noexcept {
  impl_->recorder->set_phase(phase);
  impl_->transport.set_timeout(phase == Phase::kStartup ? impl_->deadlines.startup
                                                        : impl_->deadlines.step);
}

void HostCollectives::set_step(std::int64_t step) noexcept {
  impl_->recorder->set_step(step);
}

void HostCollectives::barrier(std::string_view what, std::source_location where) {
  const RecordedOperation recorded(*impl_->recorder, {"barrier", "", {}, where});
  impl_->transport.barrier("barrier (" + std::string(what) + ")");
}

template <class T>
void HostCollectives::all_reduce(std::span<T> values, ReduceOp op, std::source_location where) {
  if (world_size() == 1 || values.empty()) return;
  const RecordedOperation recorded(*impl_->recorder,
                                   {"all_reduce", type_name<T>(), shape_of(values), where});
  const auto buffer = copy_of(std::as_bytes(values));
  guarded({buffer}, [&] {
    impl_->all_reduce(buffer->data(), static_cast<std::int64_t>(values.size()), local_reduce<T>(op),
                      "all_reduce of host values");
  });
  std::memcpy(values.data(), buffer->data(), buffer->size());
}

template void HostCollectives::all_reduce(std::span<float>, ReduceOp, std::source_location);
template void HostCollectives::all_reduce(std::span<double>, ReduceOp, std::source_location);
template void HostCollectives::all_reduce(std::span<std::int32_t>, ReduceOp, std::source_location);
template void HostCollectives::all_reduce(std::span<std::int64_t>, ReduceOp, std::source_location);
template void HostCollectives::all_reduce(std::span<std::uint64_t>, ReduceOp, std::source_location);

std::int32_t HostCollectives::max_of_last_call(std::int32_t own, std::source_location where) {
  if (own < 0)
    throw std::invalid_argument("max_of_last_call: " + std::to_string(own) + " is negative");
  const RecordedOperation recorded(*impl_->recorder, {"all_reduce", type_name<std::int32_t>(),
                                                      shape_of(std::span(&own, 1)), where});
  return impl_->transport.max_of_last_call(own, "all_reduce started by the previous call");
}

void HostCollectives::progress() noexcept {
  impl_->transport.progress();
}

std::vector<std::byte> HostCollectives::gather_bytes(std::span<const std::byte> bytes,
                                                     std::vector<std::int64_t>& counts,
                                                     const std::source_location& where) {
  const RecordedOperation recorded(*impl_->recorder,
                                   {"all_gather", "byte", shape_of(bytes), where});
  const std::vector<std::int64_t> sizes(impl_->ranks(), static_cast<std::int64_t>(bytes.size()));
  counts = impl_->swap_counts(sizes, "all_gather of host values (sizes)");
  const auto input = copy_of(bytes);
  const auto output = std::make_shared<Buffer>(static_cast<std::size_t>(sum(counts)));
  guarded({input, output}, [&] {
    impl_->transport.all_gather(input->data(), output->data(), counts, "all_gather of host values");
  });
  return std::move(*output);
}

std::vector<std::byte> HostCollectives::exchange_bytes(std::span<const std::byte> bytes,
                                                       std::span<const std::int64_t> send_counts,
                                                       std::vector<std::int64_t>& counts,
                                                       const std::source_location& where) {
  if (send_counts.size() != impl_->ranks()) {
    throw std::invalid_argument("all_to_all_v: " + std::to_string(send_counts.size()) +
                                " counts for " + std::to_string(world_size()) + " ranks");
  }
  for (const auto n : send_counts) {
    if (n < 0) throw std::invalid_argument("all_to_all_v: negative count");
  }
  if (sum(send_counts) != static_cast<std::int64_t>(bytes.size())) {
    throw std::invalid_argument("all_to_all_v: counts add up to " +
                                std::to_string(sum(send_counts)) + " bytes, but the values hold " +
                                std::to_string(bytes.size()));
  }
  const RecordedOperation recorded(*impl_->recorder,
                                   {"all_to_all", "byte", shape_of(bytes), where});
  counts = impl_->swap_counts(send_counts, "all_to_all of host values (sizes)");
  const auto input = copy_of(bytes);
  const auto output = std::make_shared<Buffer>(static_cast<std::size_t>(sum(counts)));
  std::vector<Outgoing> outgoing;
  std::vector<Incoming> incoming;
  const std::byte* from = input->data();
  std::byte* to = output->data();
  for (std::size_t r = 0; r < impl_->ranks(); ++r) {
    outgoing.push_back({from, send_counts[r]});
    incoming.push_back({to, counts[r]});
    from += send_counts[r];
    to += counts[r];
  }
  guarded({input, output},
          [&] { impl_->transport.exchange(outgoing, incoming, "all_to_all of host values"); });
  return std::move(*output);
}

std::string HostCollectives::broadcast(std::string value, int root, std::source_location where) {
  if (root < 0 || root >= world_size())
    throw std::invalid_argument("broadcast: root " + std::to_string(root) + " is not a rank");
  if (world_size() == 1) return value;
  const RecordedOperation recorded(*impl_->recorder,
                                   {"broadcast", "byte", shape_of(std::span(value)), where});
  const auto size = std::make_shared<std::int64_t>(static_cast<std::int64_t>(value.size()));
  guarded({size}, [&] {
    impl_->transport.broadcast(reinterpret_cast<std::byte*>(size.get()), sizeof(*size), root,
                               "broadcast of host values (size)");
  });
  const auto buffer = std::make_shared<std::string>(std::move(value));
  buffer->resize(static_cast<std::size_t>(*size));
  guarded({buffer}, [&] {
    impl_->transport.broadcast(reinterpret_cast<std::byte*>(buffer->data()), *size, root,
                               "broadcast of host values");
  });
  return std::move(*buffer);
}

}  // namespace diffprob::dist
