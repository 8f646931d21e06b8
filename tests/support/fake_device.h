#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <set>

/// Sixteen pretended devices of LibTorch's kind for makers of hardware (PrivateUse1). Tensors lie
/// in host memory, a stream is a thread that does its work in order, events are those of its
/// threads; an operator waits for the current stream and then runs on the CPU. So what is written
/// for any device runs without one, with the freedom of order that a GPU has. They are there in a
/// program that links fake_device.cpp.
namespace diffprob::tests {

constexpr c10::DeviceType kFakeDevices = c10::DeviceType::PrivateUse1;

/// Puts work behind what the stream has; `native_stream`: of a c10::Stream of such a device. From
/// any thread.
void enqueue_on_fake_stream(void* native_stream, std::function<void()> work);

/// Tensors that the program has copied to the host.
[[nodiscard]] int copies_from_fake_devices();
/// How often the allocator was asked to give memory back, for which it waits for the device, as
/// CUDA does.
[[nodiscard]] int times_fake_memory_was_given_back();

/// Devices on which this process has had memory, streams, events or operators.
[[nodiscard]] std::set<int> worked_on_fake_devices();
/// Devices that were the current one of a thread at the end of a guard or by order.
[[nodiscard]] std::set<int> current_fake_devices();
void forget_fake_devices();

}  // namespace diffprob::tests
