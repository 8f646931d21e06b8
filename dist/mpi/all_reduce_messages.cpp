// All_reduce by messages alone, directly or split, and reduce_scatter.
#include <algorithm>
#include <vector>

#include "dist/mpi/all_reduce.h"

namespace diffprob::dist {
namespace {

// Below this many bytes in all, one exchange of everything beats two exchanges of parts.
constexpr std::int64_t kDirectBytes = 128 << 10;
// A rank's share of one round of a large all_reduce: what was received is still in the cache when
// it is summed.
constexpr std::int64_t kShareBytes = 256 << 10;

// Everybody sends everything to everybody and reduces all of it.
void all_reduce_direct(MpiTransport& transport, std::byte* data, std::int64_t count,
                       const LocalReduce& reduce, std::string_view what) {
  const std::int64_t bytes = count * reduce.element_bytes;
  const auto ranks = static_cast<std::size_t>(transport.world_size());
  std::byte* memory = transport.scratch(bytes * transport.world_size());
  const std::vector<Outgoing> outgoing(ranks, {data, bytes});
  std::vector<Incoming> incoming(ranks);
  std::vector<const std::byte*> inputs(ranks);
  for (int r = 0; r < transport.world_size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    incoming[i] = {r == transport.rank() ? data : memory + r * bytes, bytes};
    inputs[i] = incoming[i].data;
  }
  transport.exchange(outgoing, incoming, what);
  reduce.run(data, inputs, count);
}

// Rank r reduces block r of all ranks, then everybody gathers the blocks: the least traffic there
// can be.
void all_reduce_split(MpiTransport& transport, std::byte* data, std::int64_t count,
                      const LocalReduce& reduce, std::string_view what) {
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> byte_counts;
  for (int r = 0; r < transport.world_size(); ++r) {
    counts.push_back(count * (r + 1) / transport.world_size() - count * r / transport.world_size());
    byte_counts.push_back(counts.back() * reduce.element_bytes);
  }
  std::byte* own = data + count * transport.rank() / transport.world_size() * reduce.element_bytes;
  reduce_scatter(transport, data, own, counts, reduce, what);
  transport.all_gather(own, data, byte_counts, what);
}

}  // namespace

void all_reduce_by_messages(MpiTransport& transport, std::byte* data, std::int64_t count,
                            const LocalReduce& reduce, std::string_view what) {
  transport.begin(what);
  if (transport.world_size() == 1) return;
  const std::int64_t piece =
      std::min(transport.chunk_bytes(), kShareBytes * transport.world_size()) /
      reduce.element_bytes;
  for (std::int64_t at = 0; at < count; at += piece) {
    const std::int64_t n = std::min(piece, count - at);
    const bool direct = transport.world_size() == 2 ||
                        n * reduce.element_bytes * transport.world_size() <= kDirectBytes;
    std::byte* part = data + at * reduce.element_bytes;
    direct ? all_reduce_direct(transport, part, n, reduce, what)
           : all_reduce_split(transport, part, n, reduce, what);
  }
}

void reduce_scatter(MpiTransport& transport, const std::byte* input, std::byte* output,
                    std::span<const std::int64_t> counts, const LocalReduce& reduce,
                    std::string_view what) {
  const std::int64_t size = reduce.element_bytes;
  const auto ranks = static_cast<std::size_t>(transport.world_size());
  const auto own = static_cast<std::size_t>(transport.rank());
  // Scratch memory stays within a chunk.
  const std::int64_t piece =
      std::max<std::int64_t>(1, transport.chunk_bytes() / size / transport.world_size());
  const std::int64_t longest = *std::max_element(counts.begin(), counts.end());
  std::vector<Outgoing> outgoing(ranks);
  std::vector<Incoming> incoming(ranks);
  std::vector<const std::byte*> inputs(ranks);
  transport.begin(what);
  for (std::int64_t at = 0; at < longest; at += piece) {
    const auto part = [&](std::size_t r) {
      return std::clamp<std::int64_t>(counts[r] - at, 0, piece);
    };
    std::byte* memory = transport.scratch(part(own) * size * transport.world_size());
    std::int64_t block = 0;  // first element of rank r's block
    for (std::size_t r = 0; r < ranks; ++r) {
      outgoing[r] = {input + (block + std::min(at, counts[r])) * size, part(r) * size};
      incoming[r] = {memory + static_cast<std::int64_t>(r) * part(own) * size, part(own) * size};
      inputs[r] = incoming[r].data;
      block += counts[r];
    }
    transport.exchange(outgoing, incoming, what);
    if (part(own) > 0) reduce.run(output + at * size, inputs, part(own));
  }
}

}  // namespace diffprob::dist
