#pragma once

#include <string>

namespace diffprob::launch {

/// Text as a field of a CSV file (RFC 4180): in quotes where it needs them.
[[nodiscard]] inline std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace diffprob::launch
