#include "dist/mpi/node_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace diffprob::dist {
namespace {

constexpr std::int64_t kPage = 4096;
constexpr std::int64_t kMostBytes =
    24 << 20;  // of a mapping: shared memory is scarce in containers (64 MiB by default)
constexpr std::int64_t kLongestSlot = 1 << 20;
constexpr std::int64_t kFlagBytes = 128;  // two cache lines: neighbours are fetched in pairs

std::int64_t slot_bytes_for(int world_size) {
  const std::int64_t slots = 2 * (static_cast<std::int64_t>(world_size) + 1);
  return std::min(kLongestSlot, kMostBytes / slots / kPage * kPage);
}

std::int64_t head_bytes_for(int world_size) {
  return (kFlagBytes * world_size + kPage - 1) / kPage * kPage;
}

std::int64_t share_begin(std::int64_t count, int rank, int world_size) {
  return count * rank / world_size;
}

}  // namespace

struct NodeMemory::Flags {
  std::atomic<std::uint64_t> arrived;
  std::atomic<std::uint64_t> reduced;
  std::array<std::int64_t, 2> bytes;  // by slot; written before arrived
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

std::int64_t NodeMemory::bytes_for(int world_size) {
  return head_bytes_for(world_size) +
         2 * (static_cast<std::int64_t>(world_size) + 1) * slot_bytes_for(world_size);
}

bool NodeMemory::create(const std::string& name, int world_size) noexcept {
  if (slot_bytes_for(world_size) < kPage) {
    errno = ENOMEM;
    return false;
  }
  const int file = shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) return false;
  const int code = posix_fallocate(
      file, 0, bytes_for(world_size));  // now, or a later write would end the process
  close(file);
  if (code == 0) return true;
  unlink(name);
  errno = code;
  return false;
}

std::unique_ptr<NodeMemory> NodeMemory::open(const std::string& name, int rank,
                                             int world_size) noexcept {
  const int file = shm_open(name.c_str(), O_RDWR, 0600);
  if (file < 0) return nullptr;
  struct stat info {};
  const auto bytes = static_cast<std::size_t>(bytes_for(world_size));
  void* memory = MAP_FAILED;
  if (fstat(file, &info) == 0 && info.st_size == static_cast<off_t>(bytes)) {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  close(file);
  if (memory == MAP_FAILED) return nullptr;
  return std::unique_ptr<NodeMemory>(
      new (std::nothrow) NodeMemory(static_cast<std::byte*>(memory), rank, world_size));
}

void NodeMemory::unlink(const std::string& name) noexcept {
  shm_unlink(name.c_str());
}

NodeMemory::NodeMemory(std::byte* memory, int rank, int world_size)
    : memory_(memory),
      rank_(rank),
      world_size_(world_size),
      slot_bytes_(slot_bytes_for(world_size)),
      inputs_(static_cast<std::size_t>(world_size)) {
  static_assert(sizeof(Flags) <= kFlagBytes);
}

NodeMemory::~NodeMemory() {
  munmap(memory_, static_cast<std::size_t>(bytes_for(world_size_)));
}

NodeMemory::Flags& NodeMemory::flags(int rank) const noexcept {
  return *std::launder(reinterpret_cast<Flags*>(
      memory_ + kFlagBytes * rank));  // a new object is all zeros, which is their first value
}

std::byte* NodeMemory::input(int rank, std::uint64_t piece) const noexcept {
  return memory_ + head_bytes_for(world_size_) +
         (2 * rank + static_cast<std::int64_t>(piece % 2)) * slot_bytes_;
}

std::byte* NodeMemory::result(std::uint64_t piece) const noexcept {
  return input(world_size_, piece);
}

std::uint64_t NodeMemory::publish(const std::byte* data, std::int64_t count,
                                  std::int64_t element_bytes, Publish which) noexcept {
  const std::uint64_t piece = ++published_;
  std::byte* to = input(rank_, piece);
  const std::int64_t own = which == Publish::kAll ? count : share_begin(count, rank_, world_size_);
  const std::int64_t rest =
      which == Publish::kAll ? count : share_begin(count, rank_ + 1, world_size_);
  std::memcpy(to, data, static_cast<std::size_t>(own * element_bytes));
  std::memcpy(to + rest * element_bytes, data + rest * element_bytes,
              static_cast<std::size_t>((count - rest) * element_bytes));
  flags(rank_).bytes[piece % 2] = count * element_bytes;
  flags(rank_).arrived.store(piece, std::memory_order_release);
  return piece;
}

bool NodeMemory::reached(Stage stage, std::uint64_t piece) const noexcept {
  for (int r = 0; r < world_size_; ++r) {
    const auto& flag = stage == Stage::kArrived ? flags(r).arrived : flags(r).reduced;
    if (flag.load(std::memory_order_acquire) < piece) return false;
  }
  return true;
}

std::vector<int> NodeMemory::behind(Stage stage, std::uint64_t piece) const {
  std::vector<int> ranks;
  for (int r = 0; r < world_size_; ++r) {
    const auto& flag = stage == Stage::kArrived ? flags(r).arrived : flags(r).reduced;
    if (flag.load(std::memory_order_acquire) < piece) ranks.push_back(r);
  }
  return ranks;
}

std::int64_t NodeMemory::published_bytes(int rank, std::uint64_t piece) const noexcept {
  return flags(rank).bytes[piece % 2];
}

void NodeMemory::reduce_all(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                            std::uint64_t piece) {
  for (int r = 0; r < world_size_; ++r)
    inputs_[static_cast<std::size_t>(r)] = r == rank_ ? data : input(r, piece);
  reduce.run(data, inputs_, count);
}

void NodeMemory::reduce_share(const std::byte* data, std::int64_t count, const LocalReduce& reduce,
                              std::uint64_t piece) {
  const std::int64_t begin = share_begin(count, rank_, world_size_);
  const std::int64_t n = share_begin(count, rank_ + 1, world_size_) - begin;
  const std::int64_t offset = begin * reduce.element_bytes;
  for (int r = 0; r < world_size_; ++r)
    inputs_[static_cast<std::size_t>(r)] = (r == rank_ ? data : input(r, piece)) + offset;
  reduce.run(result(piece) + offset, inputs_, n);
  flags(rank_).reduced.store(piece, std::memory_order_release);
}

void NodeMemory::collect(std::byte* data, std::int64_t bytes, std::uint64_t piece) const noexcept {
  std::memcpy(data, result(piece), static_cast<std::size_t>(bytes));
}

}  // namespace diffprob::dist
