#include "launch/inputs/open_with_progress.h"

#include <unistd.h>

#include <cstdint>
#include <optional>

#include "data/open_dataset.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {

std::shared_ptr<const data::Dataset> open_with_progress(const std::vector<std::string>& paths,
                                                        const std::string& list_root) {
  constexpr std::int64_t kMebibyte = 1 << 20;
  std::optional<Progress> progress;
  std::string shown;
  const auto show = [&](const std::string& path, std::int64_t done, std::int64_t total) {
    if (total < data::kLeastIndexedBytes) return;
    if (shown != path) {
      shown = path;
      progress.emplace(path + ": reading the heads of all records", total / kMebibyte, "MiB",
                       ::isatty(2) != 0);
    }
    progress->advance(done / kMebibyte);
  };
  auto dataset = data::open_datasets(paths, list_root, show);
  if (progress) progress->step_aside();
  return dataset;
}

}  // namespace diffprob::launch
