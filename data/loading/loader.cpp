#include "data/loading/loader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"

namespace diffprob::data {
namespace {

// Images a thread claims at once: below a millisecond of work, so that one batch spreads over all
// threads.
constexpr std::int64_t kChunk = 8;

/// A batch on its way. Rows are claimed in order; everything but the image bytes is guarded by the
/// loader's mutex.
struct Slot {
  Batch batch;
  std::int64_t number = 0;  // in the plan
  std::vector<std::int64_t> indices;
  std::int64_t claimed = 0;
  std::int64_t finished = 0;
  std::int64_t rows = 0;
  std::exception_ptr error;
  std::int64_t error_row = std::numeric_limits<std::int64_t>::max();
  std::vector<std::pair<std::int64_t, std::string>> replaced;  // row, description

  [[nodiscard]] bool ready() const { return finished == rows; }
};

/// What a decoding thread keeps from image to image.
struct Worker {
  explicit Worker(const LoaderOptions& options)
      : augmenter(options.augment, options.image_size),
        scratch(static_cast<std::size_t>(options.image_size) *
                static_cast<std::size_t>(options.image_size) * 3) {}

  ImageDecoder decoder;
  Augmenter augmenter;
  std::vector<std::byte> encoded;
  std::vector<std::uint8_t> scratch;  // an image before it is mirrored
};

struct Chunk {
  Slot* slot;
  std::int64_t begin;
  std::int64_t end;
};

struct ChunkResult {
  std::exception_ptr error;
  std::int64_t error_row = 0;
  std::vector<std::pair<std::int64_t, std::string>> replaced;
};

/// Writes the mirror image of `from` to `to` (not overlapping). A pixel is moved as four bytes, of
/// which the next pixel overwrites the last.
void copy_mirrored(const std::uint8_t* from, int size, std::uint8_t* to) {
  const std::int64_t stride = std::int64_t{3} * size;
  for (int y = 0; y < size; ++y, from += stride, to += stride) {
    if (size == 1) {
      std::memcpy(to, from, 3);
      continue;
    }
    // The ends of a row take three bytes exactly: nothing beyond the row is touched.
    const std::uint8_t* source = from + stride - 3;
    std::uint8_t* target = to;
    std::memcpy(target, source, 3);
    for (source -= 3, target += 3; source > from; source -= 3, target += 3)
      std::memcpy(target, source, 4);
    std::memcpy(target, from, 3);
  }
}

void check_options(const LoaderOptions& options, std::int64_t first_batch) {
  const auto require = [](bool good, const char* name, std::int64_t found, const char* wanted) {
    if (!good)
      throw DataError(std::string("loader: ") + name + " is " + std::to_string(found) +
                      ", expected " + wanted);
  };
  require(options.image_size >= 1, "image_size", options.image_size, "at least 1");
  require(options.decode_threads >= 0, "decode_threads", options.decode_threads, "at least 0");
  require(options.prefetch_batches >= 1, "prefetch_batches", options.prefetch_batches,
          "at least 1");
  require(first_batch >= 0, "first_batch", first_batch, "at least 0");
  check_augmentation(options.augment);
}

void check_cache(const DecodedCache& cache, const Dataset& dataset, int image_size) {
  if (cache.samples() == dataset.size() && cache.image_size() == image_size) return;
  throw DataError("loader: the decoded cache is for " + std::to_string(cache.samples()) +
                  " images of side " + std::to_string(cache.image_size()) +
                  ", but the data set has " + std::to_string(dataset.size()) + " of side " +
                  std::to_string(image_size));
}

}  // namespace

struct Loader::Impl {
  Impl(std::shared_ptr<const Dataset> set, std::shared_ptr<const BatchPlan> order,
       LoaderOptions wanted, std::int64_t first_batch)
      : dataset(std::move(set)),
        plan(std::move(order)),
        options(std::move(wanted)),
        next_batch(first_batch),
        num_batches(plan->num_batches()) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    work.notify_all();
    for (auto& thread : threads) thread.join();
  }

  void start() {
    if (options.decode_threads == 0) own = std::make_unique<Worker>(options);
    for (int i = 0; i < options.decode_threads; ++i) threads.emplace_back([this] { run(); });
  }

  // The following four need the mutex.
  void open_slot();
  void fill_slot(Slot& slot, std::int64_t batch);
  bool claim(Chunk& chunk);
  void settle(const Chunk& chunk, ChunkResult&& result);

  ChunkResult decode(const Chunk& chunk, Worker& worker);
  void decode_row(const Chunk& chunk, std::int64_t row, Worker& worker, ChunkResult& result);
  const std::uint8_t* obtain(std::int64_t index, Worker& worker, std::uint8_t* space);
  void run();
  void run_inline();

  const std::shared_ptr<const Dataset> dataset;
  const std::shared_ptr<const BatchPlan> plan;
  const LoaderOptions options;

  mutable std::mutex mutex;
  std::condition_variable work;   // room for a batch, or stop
  std::condition_variable ready;  // the front batch may be complete
  std::deque<std::unique_ptr<Slot>> slots;
  std::int64_t next_batch;
  const std::int64_t num_batches;
  std::atomic<bool> stop = false;
  std::exception_ptr start_error;  // a worker that could not even begin
  std::vector<std::string> replaced;
  std::unique_ptr<Worker> own;
  std::vector<std::thread> threads;
};

void Loader::Impl::fill_slot(Slot& slot, std::int64_t batch) {
  plan->indices(batch, slot.indices);
  const auto rows = static_cast<std::int64_t>(slot.indices.size());
  const std::int64_t side = options.image_size;
  slot.batch.images =
      at::empty({rows, side, side, 3},
                at::TensorOptions().dtype(at::kByte).pinned_memory(options.pin_memory));
  const auto numbers = at::TensorOptions().dtype(at::kLong).pinned_memory(options.pin_memory);
  slot.batch.labels = at::empty({rows}, numbers);
  slot.batch.indices = at::empty({rows}, numbers);
  auto* const labels = slot.batch.labels.data_ptr<std::int64_t>();
  auto* const indices = slot.batch.indices.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < rows; ++row) {
    indices[row] = slot.indices[static_cast<std::size_t>(row)];
    labels[row] = dataset->label(indices[row]);
  }
  slot.number = batch;
  slot.rows = rows;
}

void Loader::Impl::open_slot() {
  auto slot = std::make_unique<Slot>();
  try {
    fill_slot(*slot, next_batch);
  } catch (...) {
    slot->rows = 0;
    slot->error = std::current_exception();
  }
  ++next_batch;
  slots.push_back(std::move(slot));
  if (slots.back()->ready()) ready.notify_one();
}

bool Loader::Impl::claim(Chunk& chunk) {
  for (std::size_t i = 0;; ++i) {
    if (i == slots.size()) {
      if (next_batch >= num_batches ||
          slots.size() >= static_cast<std::size_t>(options.prefetch_batches))
        return false;
      open_slot();
    }
    Slot& slot = *slots[i];
    if (slot.claimed == slot.rows) continue;
    chunk = {&slot, slot.claimed, std::min(slot.claimed + kChunk, slot.rows)};
    slot.claimed = chunk.end;
    return true;
  }
}

void Loader::Impl::settle(const Chunk& chunk, ChunkResult&& result) {
  Slot& slot = *chunk.slot;
  slot.finished += chunk.end - chunk.begin;
  std::move(result.replaced.begin(), result.replaced.end(), std::back_inserter(slot.replaced));
  if (result.error) {
    // The lowest bad row is reported whatever the number of threads: all rows below it have been
    // claimed. The rest is not worth decoding.
    if (result.error_row < slot.error_row)
      std::tie(slot.error, slot.error_row) = std::tuple(result.error, result.error_row);
    slot.finished += slot.rows - slot.claimed;
    slot.claimed = slot.rows;
  }
  if (slot.ready()) ready.notify_one();
}

/// The decoded image: in the cache, or else in `space`.
const std::uint8_t* Loader::Impl::obtain(std::int64_t index, Worker& worker, std::uint8_t* space) {
  if (options.cache != nullptr) {
    if (const std::uint8_t* const stored = options.cache->find(index)) return stored;
  }
  dataset->read(index, worker.encoded);
  worker.decoder.decode(worker.encoded, options.image_size, space);
  if (options.cache != nullptr) options.cache->store(index, space);
  return space;
}

/// Decodes into the batch's own memory; an image that will be mirrored goes to the worker's scratch
/// first and is mirrored on its way.
void Loader::Impl::decode_row(const Chunk& chunk, std::int64_t row, Worker& worker,
                              ChunkResult& result) {
  const std::int64_t index = chunk.slot->indices[static_cast<std::size_t>(row)];
  const std::size_t image_bytes = worker.scratch.size();
  auto* const out = chunk.slot->batch.images.data_ptr<std::uint8_t>() +
                    static_cast<std::size_t>(row) * image_bytes;
  const std::uint64_t key = plan->augment_key(chunk.slot->number, row, index);
  const bool mirrored = options.flip && is_mirrored(key);
  std::uint8_t* const space = mirrored ? worker.scratch.data() : out;
  const std::uint8_t* image = nullptr;
  try {
    image = obtain(index, worker, space);
  } catch (const DataError& e) {
    const std::string message = with_image(*dataset, index, e.what());
    if (options.on_corrupt == OnCorrupt::kFail) throw DataError(message);
    std::memset(out, 0, image_bytes);
    result.replaced.emplace_back(row, message);
    return;
  }
  if (options.augment.any()) {
    if (image != space) std::memcpy(space, image, image_bytes);
    worker.augmenter.apply(key, space);
    image = space;
  }
  if (mirrored) {
    copy_mirrored(image, options.image_size, out);
  } else if (image != out) {
    std::memcpy(out, image, image_bytes);
  }
}

ChunkResult Loader::Impl::decode(const Chunk& chunk, Worker& worker) {
  ChunkResult result;
  for (std::int64_t row = chunk.begin; row < chunk.end && !stop; ++row) {
    try {
      decode_row(chunk, row, worker, result);
    } catch (...) {
      result.error = std::current_exception();
      result.error_row = row;
      break;
    }
  }
  return result;
}

void Loader::Impl::run() {
  std::unique_ptr<Worker> worker;
  std::unique_lock lock(mutex);
  try {
    worker = std::make_unique<Worker>(options);
    Chunk chunk{};
    while (true) {
      work.wait(lock, [&] { return stop || claim(chunk); });
      if (stop) return;
      lock.unlock();
      ChunkResult result = decode(chunk, *worker);
      lock.lock();
      settle(chunk, std::move(result));
    }
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    start_error = std::current_exception();
    ready.notify_one();
  }
}

void Loader::Impl::run_inline() {
  Chunk chunk{};
  while ((slots.empty() || !slots.front()->ready()) && claim(chunk))
    settle(chunk, decode(chunk, *own));
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const BatchPlan> plan,
               LoaderOptions options, std::int64_t first_batch) {
  check_options(options, first_batch);
  if (options.cache != nullptr) check_cache(*options.cache, *dataset, options.image_size);
  impl_ =
      std::make_unique<Impl>(std::move(dataset), std::move(plan), std::move(options), first_batch);
  impl_->start();
}

Loader::~Loader() = default;

bool Loader::do_next(Batch& batch) {
  Impl& self = *impl_;
  std::unique_lock lock(self.mutex);
  if (self.own != nullptr) self.run_inline();
  self.ready.wait(lock, [&] {
    const bool exhausted = self.slots.empty() && self.next_batch >= self.num_batches;
    return exhausted || self.start_error || (!self.slots.empty() && self.slots.front()->ready());
  });
  if (self.start_error) std::rethrow_exception(self.start_error);
  if (self.slots.empty()) return false;
  // A failed batch stays in front: whoever asks again gets the same answer.
  if (self.slots.front()->error) std::rethrow_exception(self.slots.front()->error);
  const std::unique_ptr<Slot> slot = std::move(self.slots.front());
  self.slots.pop_front();
  self.work.notify_all();
  std::sort(slot->replaced.begin(), slot->replaced.end());
  for (auto& entry : slot->replaced) self.replaced.push_back(std::move(entry.second));
  batch = std::move(slot->batch);
  return true;
}

std::vector<std::string> Loader::replaced() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->replaced;
}

}  // namespace diffprob::data
