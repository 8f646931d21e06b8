#include "prune/lists/kept_index_writer.h"

#include <charconv>

namespace diffprob::prune {
KeptIndexTextWriter::KeptIndexTextWriter(const std::string& path)
    : target_(path), text_("kept_index = [") {}

void KeptIndexTextWriter::append(std::span<const std::int64_t> kept) {
  constexpr std::size_t kPiece = std::size_t{1} << 22U;
  for (const std::int64_t index : kept) {
    if (!first_) text_ += ", ";
    first_ = false;
    append_number(text_, index);
    if (text_.size() >= kPiece) flush();
  }
}

void KeptIndexTextWriter::flush() {
  target_.write(text_);
  text_.clear();
}

void KeptIndexTextWriter::finish() {
  text_ += "]\n";
  flush();
  target_.commit();
}

void append_number(std::string& text, std::int64_t value) {
  char digits[24];
  const auto result = std::to_chars(digits, digits + sizeof(digits), value);
  text.append(digits, result.ptr);
}

void write_label_map_text(const std::string& path, std::span<const std::int64_t> label_map) {
  std::string text = "{";
  for (std::size_t old_label = 0; old_label < label_map.size(); ++old_label) {
    if (label_map[old_label] < 0) continue;
    if (text.size() > 1) text += ", ";
    append_number(text, static_cast<std::int64_t>(old_label));
    text += ": ";
    append_number(text, label_map[old_label]);
  }
  data::write_file_atomically(path, text + "}\n");
}

}  // namespace diffprob::prune
