#pragma once

#include <string>

namespace diffprob::data {

/// What a file is instead of what its name says, as the end of a message with what to do: a web
/// page that was downloaded in its place, or the pointer of Git LFS; "" for everything else and for
/// files that cannot be read.
[[nodiscard]] std::string stand_in_text(const std::string& path);
/// The same for an open file descriptor; its place in the file does not change.
[[nodiscard]] std::string stand_in_text(int file);

/// Throws DataError that names the file when it is such a stand-in. For readers of files that
/// people bring.
void refuse_stand_in(const std::string& path);

}  // namespace diffprob::data
