#pragma once

#include <cstdint>
#include <vector>

#include "data/synthetic/parameters.h"

namespace diffprob::data::faces {

/// Draws one picture of one person: uint8 RGB [kSide, kSide, 3]. A pure function of its arguments.
[[nodiscard]] std::vector<std::uint8_t> render_face(const FaceIdentity& face,
                                                    const FaceSample& sample);

}  // namespace diffprob::data::faces
