#pragma once

#include <functional>
#include <string>
#include <vector>

namespace diffprob::data::test {

struct RecordFiles;

/// One damage to a sound set, and what a check must find: exactly that.
struct DamageCase {
  std::string name;
  std::function<void(RecordFiles&)> damage;
  std::vector<std::string> found;  ///< short_text of the findings, any order
};

[[nodiscard]] std::vector<DamageCase> image_damage();
[[nodiscard]] std::vector<DamageCase> label_damage();
[[nodiscard]] std::vector<DamageCase> record_damage();
[[nodiscard]] std::vector<DamageCase> layout_damage();
[[nodiscard]] std::vector<DamageCase> index_damage();
/// Sets without an .idx.
[[nodiscard]] std::vector<DamageCase> damage_without_index();
/// Sets in the im2rec layout.
[[nodiscard]] std::vector<DamageCase> im2rec_damage();

}  // namespace diffprob::data::test
