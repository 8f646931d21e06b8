#include "data/sets/list_line.h"

#include <algorithm>
#include <string>
#include <vector>

#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/sets/image_names.h"

namespace diffprob::data {
namespace {

using Fields = std::vector<std::string_view>;

constexpr const char* kForms =
    "expected index<TAB>label<TAB>path, 1<TAB>path<TAB>label, path<TAB>label or path 0 label 0";

std::string shown(std::string_view field) {
  return std::string(field.substr(0, 40));
}

bool looks_like_path(std::string_view field) {
  return field.find_first_of("/\\") != std::string_view::npos || has_image_ending(field);
}

/// Of two fields that are no numbers: true when the first is the path.
bool first_is_path(std::string_view first, std::string_view second) {
  const bool path = looks_like_path(first);
  if (path == looks_like_path(second))
    throw DataError(std::string(kForms) + "; which field is the path, '" + shown(first) + "' or '" +
                    shown(second) + "'?");
  return path;
}

bool are_numbers(const Fields& fields, std::size_t from) {
  return std::all_of(fields.begin() + static_cast<std::ptrdiff_t>(from), fields.end(), is_number);
}

/// The text up to the last `count` fields, which stand between blanks: a path may hold blanks.
std::string_view before_last(std::string_view text, const Fields& fields, std::size_t count) {
  const auto* const end = fields[fields.size() - count].data();
  return trim(text.substr(0, static_cast<std::size_t>(end - text.data())));
}

Fields fields_of(std::string_view text) {
  Fields fields;
  if (text.find('\t') != std::string_view::npos) {
    split(text, '\t', fields);
    return fields;
  }
  split(text, ' ', fields);
  if (fields.size() < 3 || is_number(fields.front()) || !is_number(fields.back())) return fields;
  const auto size = fields.size();
  const bool magface = size >= 4 && are_numbers(fields, size - 3) && fields[size - 3] == "0" &&
                       fields[size - 1] == "0";
  const std::size_t numbers = magface ? 3 : 1;
  Fields joined = {before_last(text, fields, numbers)};
  joined.insert(joined.end(), fields.end() - static_cast<std::ptrdiff_t>(numbers), fields.end());
  return joined;
}

ListLine two_fields(const Fields& fields) {
  const bool first = is_number(fields[0]);
  const bool second = is_number(fields[1]);
  if (first && second) throw DataError(std::string(kForms) + ", found two numbers and no path");
  const bool path_first = first == second ? first_is_path(fields[0], fields[1]) : second;
  if (path_first) return {ImageListKind::kPathLabel, 0, fields[1], fields[0]};
  return {ImageListKind::kLabelPath, 0, fields[0], fields[1]};
}

ListLine im2rec(const Fields& fields) {
  double index = 0;
  if (!parse_number(fields[0], index) || !(index >= 0 && index <= 0x1p53) ||
      index != static_cast<double>(static_cast<std::int64_t>(index)))
    throw DataError("index " + shown(fields[0]) + " is not a whole number");
  for (std::size_t i = 2; i + 1 < fields.size(); ++i)
    if (!is_number(fields[i])) throw DataError("label " + shown(fields[i]) + " is not a number");
  return {ImageListKind::kIm2rec, static_cast<std::int64_t>(index), fields[1], fields.back()};
}

ListLine insightface(const Fields& fields) {
  if (fields[0] != "0" && fields[0] != "1")
    throw DataError("aligned must be 0 or 1, found " + shown(fields[0]));
  if (fields[0] == "0")
    throw DataError(
        "a face that is not aligned (first field 0): only lists of aligned faces are supported, "
        "align the images first");
  return {ImageListKind::kInsightFace, 0, fields[2], fields[1]};
}

ListLine many_fields(const Fields& fields) {
  if (fields.size() == 4 && !is_number(fields[0]) && are_numbers(fields, 1))
    return {ImageListKind::kMagFace, 0, fields[2], fields[0]};
  const bool second = is_number(fields[1]);
  const bool last = is_number(fields.back());
  if (second && last) throw DataError(std::string(kForms) + ", found no path");
  const bool path_second = second == last ? first_is_path(fields[1], fields.back()) : last;
  return path_second ? insightface(fields) : im2rec(fields);
}

}  // namespace

bool is_number(std::string_view text) {
  double value = 0;
  return parse_number(text, value);
}

ListLine parse_list_line(std::string_view text) {
  const auto fields = fields_of(text);
  if (fields.size() < 2)
    throw DataError(std::string(kForms) + ", found " + std::to_string(fields.size()) + " field" +
                    (fields.size() == 1 ? "" : "s"));
  const auto line = fields.size() == 2 ? two_fields(fields) : many_fields(fields);
  if (line.path.empty()) throw DataError("an empty path");
  return line;
}

}  // namespace diffprob::data
