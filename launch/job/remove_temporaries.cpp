#include "launch/job/remove_temporaries.h"

#include <filesystem>
#include <vector>

namespace diffprob::launch {
namespace {

constexpr std::string_view kMark = ".tmp.";

bool is_temporary(const std::string& name) {
  const auto mark = name.rfind(kMark);
  return mark != std::string::npos && mark + kMark.size() < name.size() &&
         name.find_first_not_of("0123456789.", mark + kMark.size()) == std::string::npos;
}

}  // namespace

void remove_leftovers(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(folder)) {
    if (item.is_regular_file() && is_temporary(item.path().filename()))
      leftovers.push_back(item.path());
  }
  std::error_code stays;
  for (const auto& path : leftovers) fs::remove(path, stays);
}

}  // namespace diffprob::launch
