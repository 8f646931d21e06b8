#include "tests/support/fake_device.h"

#include <ATen/ATen.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace diffprob::tests {
namespace {

constexpr c10::DeviceIndex kDevices = 16;

// ---- what was used

struct Used {
  std::mutex mutex;
  std::set<int> worked;
  std::set<int> current;
};
Used& used() {
  static auto* const instance = new Used;  // streams outlive static objects
  return *instance;
}

void note_work(int device) {
  const std::lock_guard lock(used().mutex);
  used().worked.insert(device);
}

// ---- streams and events

class FakeStream {
 public:
  FakeStream() {
    std::thread([this] { run(); }).detach();  // lives as long as the process
  }
  void enqueue(std::function<void()> work) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(work));
      ++open_;
    }
    changed_.notify_all();
  }
  [[nodiscard]] bool is_idle() {
    const std::lock_guard lock(mutex_);
    return open_ == 0;
  }
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_ == 0; });
  }

 private:
  [[noreturn]] void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return !queue_.empty(); });
      const auto work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
      lock.lock();
      --open_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  int open_ = 0;  // queued or running
};

struct Streams {
  std::mutex mutex;
  std::map<std::pair<int, c10::StreamId>, FakeStream*> all;  // never destroyed
  c10::StreamId next = 1;
};
Streams& streams() {
  static auto* const instance = new Streams;
  return *instance;
}

FakeStream& stream_of(c10::Stream stream) {
  note_work(stream.device_index());
  const std::lock_guard lock(streams().mutex);
  auto*& found = streams().all[{stream.device_index(), stream.id()}];
  if (found == nullptr) found = new FakeStream;
  return *found;
}

struct FakeEvent {
  std::mutex mutex;
  std::condition_variable changed;
  int recorded = 0;
  int reached = 0;

  [[nodiscard]] int count() {
    const std::lock_guard lock(mutex);
    return recorded;
  }
  void wait(int number) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return reached >= number; });
  }
};
using EventHandle = std::shared_ptr<FakeEvent>;

thread_local c10::DeviceIndex current_device = 0;
thread_local std::array<c10::StreamId, kDevices> current_streams{};

struct FakeGuard final : c10::impl::DeviceGuardImplInterface {
  static void make_current(c10::Device device) {
    TORCH_CHECK(device.index() >= 0 && device.index() < kDevices, "no such device: ", device);
    current_device = device.index();
    const std::lock_guard lock(used().mutex);
    used().current.insert(current_device);
  }

  c10::DeviceType type() const override { return kFakeDevices; }
  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = getDevice();
    make_current(device);
    return before;
  }
  c10::Device getDevice() const override { return {kFakeDevices, current_device}; }
  void setDevice(c10::Device device) const override { make_current(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { make_current(device); }
  c10::DeviceIndex deviceCount() const noexcept override { return kDevices; }
  void synchronizeDevice(const c10::DeviceIndex device) const override {
    std::vector<FakeStream*> of_device;
    {
      const std::lock_guard lock(streams().mutex);
      for (const auto& [place, stream] : streams().all) {
        if (place.first == device) of_device.push_back(stream);
      }
    }
    for (auto* stream : of_device) stream->drain();
  }

  c10::Stream getStream(c10::Device device) const override {
    const auto index = device.has_index() ? device.index() : current_device;
    return c10::Stream(c10::Stream::UNSAFE, {kFakeDevices, index},
                       current_streams[static_cast<std::size_t>(index)]);
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::UNSAFE, device, 0);
  }
  c10::Stream getNewStream(c10::Device device, int /*priority*/) const override {
    const std::lock_guard lock(streams().mutex);
    return c10::Stream(c10::Stream::UNSAFE, device, streams().next++);
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool /*high_priority*/) const override {
    return getNewStream(device, 0);
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    const c10::Stream before = getStream(stream.device());
    current_streams[static_cast<std::size_t>(stream.device_index())] = stream.id();
    return before;
  }
  void* getStreamNativeHandle(const c10::Stream stream) const override {
    return &stream_of(stream);
  }
  bool queryStream(const c10::Stream& stream) const override { return stream_of(stream).is_idle(); }
  void synchronizeStream(const c10::Stream& stream) const override { stream_of(stream).drain(); }

  static const EventHandle& event_of(void* event) { return *static_cast<EventHandle*>(event); }
  void record(void** event, const c10::Stream& stream, const c10::DeviceIndex,
              const c10::EventFlag) const override {
    if (*event == nullptr) *event = new EventHandle(std::make_shared<FakeEvent>());
    const EventHandle& recorded = event_of(*event);
    int number = 0;
    {
      const std::lock_guard lock(recorded->mutex);
      number = ++recorded->recorded;
    }
    stream_of(stream).enqueue([recorded, number] {
      const std::lock_guard lock(recorded->mutex);
      recorded->reached = number;
      recorded->changed.notify_all();
    });
  }
  void block(void* event, const c10::Stream& stream) const override {
    stream_of(stream).enqueue(
        [waited = event_of(event), number = event_of(event)->count()] { waited->wait(number); });
  }
  bool queryEvent(void* event) const override {
    const std::lock_guard lock(event_of(event)->mutex);
    return event_of(event)->reached == event_of(event)->recorded;
  }
  void synchronizeEvent(void* event) const override {
    event_of(event)->wait(event_of(event)->count());
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    delete static_cast<EventHandle*>(event);
  }
  double elapsedTime(void*, void*, const c10::DeviceIndex) const override { return 0; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, FakeGuard)

/// An operator begins when the work that is queued before it, on the current stream of its tensor's
/// device, is done.
void wait_for_stream_of(const at::Tensor& tensor) {
  if (tensor.defined() && tensor.device().type() == kFakeDevices)
    stream_of(FakeGuard().getStream(tensor.device())).drain();
}

// ---- memory and operators

/// Memory belongs to the stream that was current when it was made: it is free once that stream has
/// come to where it was given back.
struct FakeBlock {
  void* memory;
  FakeStream* stream;
  static void give_back(void* block) {
    auto* const self = static_cast<FakeBlock*>(block);
    self->stream->enqueue([self] {
      c10::GetCPUAllocator()->raw_deallocate(self->memory);
      delete self;
    });
  }
};

struct FakeAllocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(std::size_t bytes) override {
    const c10::Device device(kFakeDevices, current_device);
    if (bytes == 0) return {nullptr, device};
    auto* const block = new FakeBlock{c10::GetCPUAllocator()->raw_allocate(bytes),
                                      &stream_of(FakeGuard().getStream(device))};
    return {block->memory, block, FakeBlock::give_back, device};
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {
    FakeGuard().synchronizeDevice(current_device);
    ++times_emptied;
  }
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override { return {}; }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {}

  std::atomic<int> times_emptied = 0;
};
FakeAllocator allocator;

/// Pinned memory is plain memory.
struct FakeHooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  c10::DeviceIndex deviceCount() const override { return kDevices; }
};
[[maybe_unused]] const bool hooks_are_there = [] {
  c10::register_privateuse1_backend("pretended");
  at::RegisterPrivateUse1HooksInterface(new FakeHooks);
  c10::SetAllocator(kFakeDevices, &allocator);
  return true;
}();

c10::Device device_or_current(std::optional<c10::Device> device) {
  return device && device->has_index() ? *device : c10::Device(kFakeDevices, current_device);
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type,
                 std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(device_or_current(device));
  const auto dtype = c10::dtype_or_default(type);
  return at::detail::empty_generic(
      sizes, &allocator, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), dtype, format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         std::optional<at::ScalarType> type, std::optional<at::Layout>,
                         std::optional<at::Device> device, std::optional<bool>) {
  const c10::DeviceGuard guard(device_or_current(device));
  return at::detail::empty_strided_generic(sizes, strides, &allocator,
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(type));
}

/// The same memory as a tensor of the CPU.
at::Tensor on_host(const at::Tensor& tensor) {
  if (tensor.device().is_cpu()) return tensor;
  note_work(tensor.device().index());
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(),
                       at::TensorOptions().dtype(tensor.scalar_type()));
}

std::atomic<int> copies_to_host = 0;
thread_local bool in_fallback = false;  // whose copies nobody has asked for

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  wait_for_stream_of(from);
  wait_for_stream_of(to);
  if (!in_fallback && to.device().is_cpu() && from.device().type() == kFakeDevices)
    ++copies_to_host;
  on_host(to).copy_(on_host(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

const at::Tensor& resize(const at::Tensor& tensor, c10::SymIntArrayRef sizes,
                         std::optional<at::MemoryFormat>) {
  const auto wanted = C10_AS_INTARRAYREF_SLOW(sizes);
  const at::Tensor made = at::empty(wanted, tensor.options());
  tensor.unsafeGetTensorImpl()->set_storage_keep_dtype(made.storage());
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(wanted);
  return tensor;
}

at::Scalar local_scalar(const at::Tensor& tensor) {
  wait_for_stream_of(tensor);
  return on_host(tensor).item();
}

void on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const auto& argument : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (argument.isTensor()) wait_for_stream_of(argument.toTensor());
  }
  const bool outer = std::exchange(in_fallback, true);
  try {
    at::native::cpu_fallback(op, stack);
  } catch (...) {
    in_fallback = outer;
    throw;
  }
  in_fallback = outer;
}

at::Tensor view(const at::Tensor& tensor, c10::SymIntArrayRef sizes) {
  return at::native::view(tensor, C10_AS_INTARRAYREF_SLOW(sizes));
}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef output_padding, std::int64_t groups) {
  wait_for_stream_of(input);
  const auto host_bias =
      bias && bias->defined() ? std::optional<at::Tensor>(on_host(*bias)) : std::nullopt;
  return at::convolution(on_host(input), on_host(weight), host_bias, stride, padding, dilation,
                         transposed, output_padding, groups)
      .to(input.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& grad, const at::Tensor& input, const at::Tensor& weight,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
    at::IntArrayRef output_padding, std::int64_t groups, std::array<bool, 3> wanted) {
  wait_for_stream_of(grad);
  const auto found = at::convolution_backward(on_host(grad), on_host(input), on_host(weight),
                                              at::IntArrayRef{weight.size(0)}, stride, padding,
                                              dilation, transposed, output_padding, groups, wanted);
  const auto there = [&](const at::Tensor& t) { return t.defined() ? t.to(grad.device()) : t; };
  return {there(std::get<0>(found)), there(std::get<1>(found)), there(std::get<2>(found))};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, operators) {
  operators.impl("convolution_overrideable", TORCH_FN(convolution));
  operators.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
  operators.impl("empty.memory_format", TORCH_FN(empty));
  operators.impl("empty_strided", TORCH_FN(empty_strided));
  operators.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  operators.impl("view", TORCH_FN(view));
  operators.impl("resize_", TORCH_FN(resize));
  operators.impl("_copy_from", TORCH_FN(copy_from));
  operators.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  operators.impl("_local_scalar_dense", TORCH_FN(local_scalar));
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, others) {  // float32 stays float32
  others.fallback(torch::CppFunction::makeFallthrough());
}

/// torch::nn::Module::to refuses tensors of kinds that it does not know.
bool same_kind(const at::Tensor&, const at::Tensor&) {
  return true;
}
TORCH_LIBRARY_IMPL(aten, AutogradPrivateUse1, moves) {
  moves.impl("_has_compatible_shallow_copy_type", TORCH_FN(same_kind));
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, others) {
  others.fallback(torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
}

}  // namespace

void enqueue_on_fake_stream(void* native_stream, std::function<void()> work) {
  static_cast<FakeStream*>(native_stream)->enqueue(std::move(work));
}

int copies_from_fake_devices() {
  return copies_to_host;
}

int times_fake_memory_was_given_back() {
  return allocator.times_emptied;
}

std::set<int> worked_on_fake_devices() {
  const std::lock_guard lock(used().mutex);
  return used().worked;
}

std::set<int> current_fake_devices() {
  const std::lock_guard lock(used().mutex);
  return used().current;
}

void forget_fake_devices() {
  const std::lock_guard lock(used().mutex);
  used().worked.clear();
  used().current.clear();
}

}  // namespace diffprob::tests
