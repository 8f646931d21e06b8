#include "eval/ijb/meta_lines.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "data/error.h"

namespace diffprob::eval {
namespace {

constexpr std::size_t kBlock = std::size_t{4} << 20U;  // bytes read at once

std::span<std::byte> as_writable_bytes(std::string& text, std::size_t from) {
  return std::as_writable_bytes(std::span(text).subspan(from));
}

}  // namespace

MetaLines::MetaLines(const std::string& path, char separator, std::int64_t part, std::int64_t parts)
    : file_(path), separator_(separator), first_part_(part == 0) {
  const auto border = [&](std::int64_t p) {  // no product of size and parts: it could overflow
    return file_.size() / parts * p + file_.size() % parts * p / parts;
  };
  end_ = border(part + 1);
  buffer_offset_ = border(part);
  if (buffer_offset_ == 0 || buffer_offset_ >= file_.size()) return;
  // Behind the first line end at or after border - 1: a line that the border cuts belongs to the
  // part before.
  buffer_offset_ -= 1;
  (void)read_line();
}

void MetaLines::fill() {
  buffer_.erase(0, line_begin_);
  buffer_offset_ += static_cast<std::int64_t>(line_begin_);
  line_begin_ = 0;
  const std::size_t kept = buffer_.size();
  const std::int64_t left = file_.size() - buffer_offset_ - static_cast<std::int64_t>(kept);
  buffer_.resize(kept + std::min(kBlock, static_cast<std::size_t>(left)));
  file_.read(buffer_offset_ + static_cast<std::int64_t>(kept), as_writable_bytes(buffer_, kept));
}

/// The next line, from line_begin_ to next_line_ (line end included).
bool MetaLines::read_line() {
  line_begin_ = next_line_;
  if (begin_of_line() >= end_) return false;
  ++lines_;
  std::size_t searched = line_begin_;
  while (true) {
    const auto found = buffer_.find('\n', searched);
    if (found != std::string::npos) {
      next_line_ = found + 1;
      return true;
    }
    const std::size_t length = buffer_.size() - line_begin_;
    if (length > kLongestLine)
      fail("a line of more than " + std::to_string(kLongestLine) +
           " bytes: not a text file of this kind");
    if (begin_of_line() + static_cast<std::int64_t>(length) == file_.size()) {
      next_line_ = buffer_.size();
      return length > 0;
    }
    fill();
    searched = length;
  }
}

bool MetaLines::next() {
  while (read_line()) {
    std::string_view line(buffer_.data() + line_begin_, next_line_ - line_begin_);
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (begin_of_line() == 0) line = data::text_body(line, path());
    line = data::trim(line);
    if (line.empty()) continue;
    data::split(line, separator_, fields_);
    return true;
  }
  return false;
}

std::int64_t MetaLines::line_number() const {
  if (first_part_) return lines_;
  std::int64_t number = 1;
  std::string block;
  for (std::int64_t at = 0; at < begin_of_line(); at += static_cast<std::int64_t>(block.size())) {
    block.resize(std::min(kBlock, static_cast<std::size_t>(begin_of_line() - at)));
    file_.read(at, as_writable_bytes(block, 0));
    number += std::count(block.begin(), block.end(), '\n');
  }
  return number;
}

void MetaLines::need_fields(std::size_t count, const char* form) const {
  if (fields_.size() == count) return;
  fail(std::string("expected ") + form + ", found " + std::to_string(fields_.size()) + " fields");
}

std::int64_t MetaLines::integer(std::size_t field, const char* what) const {
  std::int64_t value = 0;
  if (data::parse_number(fields_[field], value)) return value;
  fail(std::string("expected ") + what + ", a whole number, found '" + printable(fields_[field]) +
       "'");
}

double MetaLines::real(std::size_t field, const char* what) const {
  double value = 0;
  if (data::parse_number(fields_[field], value) && std::isfinite(value)) return value;
  fail(std::string("expected ") + what + ", a number, found '" + printable(fields_[field]) + "'");
}

void MetaLines::fail(const std::string& what) const {
  throw data::DataError(path() + " line " + std::to_string(line_number()) + ": " + what);
}

}  // namespace diffprob::eval
