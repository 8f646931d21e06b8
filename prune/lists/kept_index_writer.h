#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/files/atomic_file.h"

namespace diffprob::prune {

/// Writes `kept_index = [0, 3, ...]` piece by piece, whole or not at all. Throws data::DataError.
class KeptIndexTextWriter {
 public:
  explicit KeptIndexTextWriter(const std::string& path);
  void append(std::span<const std::int64_t> kept);
  void finish();

 private:
  void flush();

  data::AtomicFile target_;
  std::string text_;
  bool first_ = true;
};

void append_number(std::string& text, std::int64_t value);
/// `{old: new, ...}` over the identities that have a new label.
void write_label_map_text(const std::string& path, std::span<const std::int64_t> label_map);

}  // namespace diffprob::prune
