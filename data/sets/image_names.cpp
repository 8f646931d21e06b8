#include "data/sets/image_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <span>

#include "data/error.h"
#include "data/files/input_file.h"
#include "data/images/image_format.h"

namespace diffprob::data {
namespace {

/// Files of other kinds that lie in folders of faces: not opened.
constexpr std::array<std::string_view, 9> kOtherEndings = {".txt", ".json", ".csv",  ".npy", ".npz",
                                                           ".mat", ".xml",  ".yaml", ".db"};

std::string lower_ending(std::string_view name) {
  auto ending = std::filesystem::path(name).extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

bool begins_as_image(const std::string& path) {
  constexpr std::int64_t kHeadBytes = 16;
  try {
    const InputFile file(path);
    std::array<std::byte, kHeadBytes> head{};
    const auto length = std::min(file.size(), kHeadBytes);
    file.read(0, std::span(head).first(static_cast<std::size_t>(length)));
    const auto format = format_of(std::span(head).first(static_cast<std::size_t>(length)));
    // Two letters are too few to tell a BMP without its ending.
    return format != ImageFormat::kUnknown && format != ImageFormat::kBmp;
  } catch (const DataError&) {
    return false;
  }
}

}  // namespace

bool has_image_ending(std::string_view name) {
  constexpr std::array<std::string_view, 9> kEndings = {".jpg", ".jpeg", ".jpe", ".jfif", ".png",
                                                        ".bmp", ".webp", ".tif", ".tiff"};
  return std::ranges::find(kEndings, lower_ending(name)) != kEndings.end();
}

bool is_image_file(const std::string& path) {
  if (has_image_ending(path)) return true;
  return std::ranges::find(kOtherEndings, lower_ending(path)) == kOtherEndings.end() &&
         begins_as_image(path);
}

}  // namespace diffprob::data
