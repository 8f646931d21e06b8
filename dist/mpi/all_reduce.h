#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dist/mpi/local_reduce.h"
#include "dist/mpi/node_memory.h"
#include "dist/mpi/transport.h"

namespace diffprob::dist {

/// The all_reduce of a transport: through memory that the ranks share if all of them are on one
/// node, by messages otherwise. Both add in rank order on the host: every rank gets the same bits,
/// whatever algorithm MPI would choose, and 16-bit types need no support of MPI. Calls count as
/// calls of the transport: one thread at a time, and dead after a CommError.
class AllReduce {
 public:
  /// `transport` must outlive this object. Nothing is sent before the first call.
  explicit AllReduce(MpiTransport& transport);
  ~AllReduce();
  AllReduce(const AllReduce&) = delete;
  AllReduce& operator=(const AllReduce&) = delete;

  /// Reduces `count` elements in place.
  void operator()(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                  std::string_view what);

 private:
  struct Offer;
  void share_node_memory(std::string_view what);
  [[nodiscard]] bool all_have_it(bool own, std::string_view what);

  MpiTransport& transport_;
  std::shared_ptr<Offer> offer_;      // null until the first call
  std::unique_ptr<NodeMemory> node_;  // null: messages
};

/// Reduces `count` elements in place by messages alone: what AllReduce does for ranks that share no
/// memory.
void all_reduce_by_messages(MpiTransport& transport, std::byte* data, std::int64_t count,
                            const LocalReduce& reduce, std::string_view what);

/// `input` holds sum(counts) elements; `output` receives block `rank` (counts[rank] elements) of
/// the reduction.
void reduce_scatter(MpiTransport& transport, const std::byte* input, std::byte* output,
                    std::span<const std::int64_t> counts, const LocalReduce& reduce,
                    std::string_view what);

}  // namespace diffprob::dist
