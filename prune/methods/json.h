#pragma once

#include <nlohmann/json.hpp>

#include "prune/select/selection.h"

namespace diffprob::prune {

inline const char* preset_name(Preset preset) {
  return preset == Preset::kReference ? "reference" : "default";
}

inline void add_floor(nlohmann::ordered_json& json, const Floor& floor) {
  json["min_kept"] = floor.min_kept;
  json["min_kept_share"] = floor.share;
}

}  // namespace diffprob::prune
