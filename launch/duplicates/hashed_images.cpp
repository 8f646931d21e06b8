#include "launch/duplicates/hashed_images.h"

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "data/error.h"
#include "data/files/worker_threads.h"
#include "dist/mpi/agreement.h"
#include "launch/duplicates/image_reader.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

/// Images between two exchanges of a rank, so that no rank waits for longer than a few seconds.
constexpr std::int64_t kPiece = 1024;

/// Hashes the images of a share.
class Hashing {
 public:
  Hashing(const ImageSource& source, int threads, HashedImages& out)
      : source_(source),
        threads_(std::max(1, threads)),
        out_(out),
        readers_(static_cast<std::size_t>(threads_)) {}

  void hash(std::int64_t begin, std::int64_t end) {
    data::parallel_for(begin, end, threads_, [&](std::int64_t i, int worker) {
      const auto at = static_cast<std::size_t>(i - out_.first);
      const std::vector<std::uint8_t>* rgb = nullptr;
      try {
        rgb = &readers_[static_cast<std::size_t>(worker)].read(source_, i);
      } catch (const data::DataError& error) {
        const std::lock_guard lock(mutex_);
        if (out_.unreadable.empty() || i < *std::ranges::min_element(out_.unreadable))
          out_.first_error = error.what();
        out_.unreadable.push_back(i);
        return;
      }
      if (hasher_.hash(*rgb, out_.views[at])) {
        out_.valid[at] = 1;
      } else {
        const std::lock_guard lock(mutex_);
        ++out_.flat;
      }
    });
  }

 private:
  const ImageSource& source_;
  int threads_;
  HashedImages& out_;
  data::ImageHasher hasher_;
  std::vector<ImageReader> readers_;
  std::mutex mutex_;
};

/// Replaces what this rank counted by that of all ranks. Collective.
void add_up(HashedImages& images, Runtime& runtime) {
  auto& control = runtime.control();
  std::ranges::sort(images.unreadable);
  images.unreadable = control.all_gather_v(std::span<const std::int64_t>(images.unreadable));
  images.flat = control.all_reduce(images.flat, dist::ReduceOp::kSum);
  for (const auto& text : dist::gather_texts(control, images.first_error)) {
    images.first_error = text;
    if (!text.empty()) break;
  }
}

}  // namespace

std::int64_t first_of_share(std::int64_t total, int rank, int world_size) {
  return total / world_size * rank + std::min<std::int64_t>(rank, total % world_size);
}

HashedImages hash_images(const ImageSource& source, int threads, Runtime& runtime) {
  HashedImages images;
  images.total = source.size;
  images.first = first_of_share(source.size, runtime.rank(), runtime.world_size());
  const std::int64_t end = first_of_share(source.size, runtime.rank() + 1, runtime.world_size());
  images.views.resize(static_cast<std::size_t>(end - images.first));
  images.valid.resize(images.views.size(), 0);
  Hashing hashing(source, threads, images);
  Progress progress("hash", source.size, source.name, runtime.is_root() && ::isatty(2) != 0);
  dist::FirstProblem problem;
  const std::int64_t longest = first_of_share(source.size, 1, runtime.world_size());
  for (std::int64_t done = 0; done < longest; done += kPiece) {
    const std::int64_t begin = std::min(end, images.first + done);
    const std::int64_t until = std::min(end, images.first + done + kPiece);
    problem.run([&] { hashing.hash(begin, until); });
    const std::int64_t all =
        runtime.control().all_reduce(until - images.first, dist::ReduceOp::kSum);
    if (runtime.is_root()) progress.advance(all);
  }
  problem.throw_together<std::runtime_error>(runtime.control());
  if (runtime.is_root()) progress.finish();
  add_up(images, runtime);
  return images;
}

}  // namespace diffprob::launch
