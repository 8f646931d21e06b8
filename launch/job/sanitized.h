#pragma once

namespace diffprob::launch {

/// Whether AddressSanitizer or ThreadSanitizer is built in.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace diffprob::launch
