#include "data/files/stand_in.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "data/error.h"

namespace diffprob::data {
namespace {

constexpr std::string_view kPointer = "version https://git-lfs";

/// The first characters after a byte order mark and blanks, in small letters.
std::string start_of(int file) {
  std::array<char, 64> bytes{};
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), 0);
  std::string_view text(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  std::string start(text);
  std::ranges::transform(start, start.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return start;
}

}  // namespace

std::string stand_in_text(int file) {
  const std::string start = start_of(file);
  if (start.starts_with("<!doctype html") || start.starts_with("<html"))
    return "is a web page (HTML), not the file itself: the download led to a page; download it "
           "again by its direct link";
  if (start.starts_with(kPointer))
    return "is a pointer of Git LFS, not the file itself; fetch the file with `git lfs pull`";
  return {};
}

std::string stand_in_text(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return {};
  std::string text = stand_in_text(file);
  ::close(file);
  return text;
}

void refuse_stand_in(const std::string& path) {
  const std::string text = stand_in_text(path);
  if (!text.empty()) throw DataError(path + ": " + text);
}

}  // namespace diffprob::data
