#include "dist/mpi/all_reduce.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "dist/mpi/abandoned.h"

namespace diffprob::dist {
namespace {

// Below this many bytes, all ranks reducing everything beats a share each and a second round of
// waiting.
constexpr std::int64_t kSmallBytes = 16 << 10;

class StageReached final : public Condition {
 public:
  StageReached(const NodeMemory& node, NodeMemory::Stage stage, std::uint64_t piece)
      : node_(node), stage_(stage), piece_(piece) {}
  [[nodiscard]] bool reached() const override { return node_.reached(stage_, piece_); }
  [[nodiscard]] std::vector<int> missing() const override { return node_.behind(stage_, piece_); }

 private:
  const NodeMemory& node_;
  NodeMemory::Stage stage_;
  std::uint64_t piece_;
};

void await_arrivals(MpiTransport& transport, const NodeMemory& node, std::uint64_t piece,
                    std::int64_t bytes, std::string_view what) {
  transport.await(StageReached(node, NodeMemory::Stage::kArrived, piece), bytes, what);
  // A rank with another length would read beyond what the others wrote.
  for (int r = 0; r < transport.world_size(); ++r) {
    const std::int64_t found = node.published_bytes(r, piece);
    if (found == bytes) continue;
    transport.fail(transport.who(what) + " expected " + std::to_string(bytes) +
                   " bytes from rank " + std::to_string(r) + ", found " + std::to_string(found));
  }
}

// No message is sent: the transport waits for flags.
void all_reduce_on_node(MpiTransport& transport, NodeMemory& node, std::byte* data,
                        std::int64_t count, const LocalReduce& reduce, std::string_view what) {
  const std::int64_t size = reduce.element_bytes;
  const std::int64_t longest = node.slot_bytes() / size;
  const bool small = count * size <= std::min(kSmallBytes, longest * size);
  const auto publish = [&](std::int64_t at) {
    const auto which = small ? NodeMemory::Publish::kAll : NodeMemory::Publish::kOthersShares;
    return node.publish(data + at * size, std::min(longest, count - at), size, which);
  };
  std::uint64_t piece = publish(0);
  for (std::int64_t at = 0; at < count; at += longest, ++piece) {
    const std::int64_t n = std::min(longest, count - at);
    await_arrivals(transport, node, piece, n * size, what);
    if (small) return node.reduce_all(data, count, reduce, piece);
    // The next piece goes out before this one is reduced, so that ranks that are ahead find it.
    // All have arrived here, hence left the piece before, whose slot the next one takes.
    if (at + n < count) publish(at + n);
    node.reduce_share(data + at * size, n, reduce, piece);
    transport.await(StageReached(node, NodeMemory::Stage::kReduced, piece), n * size, what);
    node.collect(data + at * size, n * size, piece);
  }
}

}  // namespace

/// Rank 0's offer of node memory. An empty name says that there is none.
struct AllReduce::Offer {
  char name[56] = {};
  std::int64_t accepted = 0;
};

AllReduce::AllReduce(MpiTransport& transport) : transport_(transport) {}
AllReduce::~AllReduce() = default;

void AllReduce::operator()(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                           std::string_view what) {
  transport_.begin(what);
  if (transport_.world_size() == 1 || count == 0) return;
  if (!offer_) {
    offer_ = std::make_shared<Offer>();
    try {
      share_node_memory(what);
    } catch (...) {
      abandon(offer_);  // MPI may still write to it when a late peer turns up
      throw;
    }
  }
  node_ ? all_reduce_on_node(transport_, *node_, data, count, reduce, what)
        : all_reduce_by_messages(transport_, data, count, reduce, what);
}

// Rank 0 creates the memory and all others map it, or nobody uses it: ranks that took different
// paths would wait for each other in vain.
void AllReduce::share_node_memory(std::string_view what) {
  if (transport_.rank() == 0) {
    std::random_device random;
    std::snprintf(offer_->name, sizeof(offer_->name), "/diffprob.%08x%08x%08x", random(), random(),
                  random());
    if (!NodeMemory::create(offer_->name, transport_.world_size())) offer_->name[0] = 0;
  }
  // The name goes as soon as all have mapped the memory, so that no crash leaves it behind.
  const auto remove = [](Offer* offer) { NodeMemory::unlink(offer->name); };
  const std::unique_ptr<Offer, decltype(remove)> created(
      transport_.rank() == 0 && offer_->name[0] != 0 ? offer_.get() : nullptr, remove);
  transport_.broadcast(reinterpret_cast<std::byte*>(offer_->name), sizeof(offer_->name), 0, what);
  if (offer_->name[0] == 0) return;
  auto memory = NodeMemory::open(offer_->name, transport_.rank(), transport_.world_size());
  if (all_have_it(memory != nullptr, what)) node_ = std::move(memory);
}

bool AllReduce::all_have_it(bool own, std::string_view what) {
  offer_->accepted = own ? 1 : 0;
  all_reduce_by_messages(transport_, reinterpret_cast<std::byte*>(&offer_->accepted), 1,
                         local_reduce<std::int64_t>(ReduceOp::kMin), what);
  return offer_->accepted != 0;
}

}  // namespace diffprob::dist
