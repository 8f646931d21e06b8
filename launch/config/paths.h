#pragma once

#include <string>

namespace diffprob::launch {

/// A path as it is used: a leading "~/" is the home folder, $NAME and ${NAME} are variables of the
/// environment, and $$ is a dollar sign. Throws std::invalid_argument, which says what was
/// expected, when a variable is not set and for "~user".
[[nodiscard]] std::string expand_path(const std::string& text);
/// Text that expand_path() turns into `path`, which it has returned.
[[nodiscard]] std::string unexpanded_path(const std::string& path);

/// Returns true if the text holds a line break, a tab or another control character.
[[nodiscard]] bool has_control_characters(const std::string& text);
/// The text with every control character shown as "\xNN".
[[nodiscard]] std::string printable(const std::string& text);

}  // namespace diffprob::launch
