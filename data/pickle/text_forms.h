#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace diffprob::data {

/// Bytes of a Python 2 str as protocol 0 writes it: in quotes, with the escapes of repr(). Nothing
/// when the line is anything else.
[[nodiscard]] std::optional<std::string> unquoted_string(std::string_view line);

/// UTF-8 of a str as protocol 0 writes it (raw-unicode-escape: latin-1, \uXXXX and \UXXXXXXXX).
/// Nothing when an escape is broken.
[[nodiscard]] std::optional<std::string> unescaped_unicode(std::string_view line);

}  // namespace diffprob::data
