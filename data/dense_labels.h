#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace diffprob::data {

/// Makes a label map, old label -> new label: identities that keep a sample get 0, 1, 2, ... in the
/// order of their old labels, the others -1.
class DenseLabels {
 public:
  explicit DenseLabels(std::int64_t num_classes)
      : map_(static_cast<std::size_t>(num_classes), -1) {}

  /// Marks the identity of a kept sample; 0 <= label < num_classes.
  void keep(std::int64_t label) { map_[static_cast<std::size_t>(label)] = 0; }

  /// [num_classes]. Ends the work of this object.
  [[nodiscard]] std::vector<std::int64_t> map() && {
    std::int64_t next = 0;
    for (auto& label : map_) label = label < 0 ? -1 : next++;
    return std::move(map_);
  }

 private:
  std::vector<std::int64_t> map_;
};

}  // namespace diffprob::data
