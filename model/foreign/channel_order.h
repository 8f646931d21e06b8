#pragma once

#include <cstdint>

namespace diffprob::model {

/// Order of the colours in the images that a network was trained on.
enum class ChannelOrder : std::uint8_t { kRgb, kBgr };

}  // namespace diffprob::model
