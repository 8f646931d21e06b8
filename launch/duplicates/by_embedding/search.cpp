#include "launch/duplicates/by_embedding/search.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

/// One line of progress per step of a search.
class Steps {
 public:
  void advance(const std::string& what, std::int64_t done, std::int64_t total) {
    if (total == 0) return;
    if (what != what_ || done < last_) {
      if (line_) line_->finish();
      line_.emplace(what, total, "steps", ::isatty(2) != 0);
    }
    what_ = what;
    last_ = done;
    line_->advance(done);
  }
  void finish() {
    if (line_) line_->finish();
  }

 private:
  std::string what_;
  std::int64_t last_ = 0;
  std::optional<Progress> line_;
};

template <class Search>
eval::Neighbours run(const Search& search, const Config& config, Runtime& runtime) {
  Steps steps;
  eval::NeighbourOptions options = config.neighbours.options;
  options.threads = std::max(1, config.data.loader.decode_threads);
  options.progress = [&](const std::string& what, std::int64_t done, std::int64_t total) {
    if (runtime.is_root()) steps.advance(what, done, total);
  };
  eval::Neighbours found = search(options);
  steps.finish();
  if (found.zero_rows > 0)
    spdlog::warn("{} embeddings are zeros, which are near nothing", found.zero_rows);
  return found;
}

}  // namespace

eval::Neighbours search_inside(const eval::EmbeddedSet& set, const Config& config,
                               Runtime& runtime) {
  return run(
      [&](const eval::NeighbourOptions& options) {
        return eval::find_neighbours(set, options, runtime.control());
      },
      config, runtime);
}

eval::Neighbours search_between(const eval::EmbeddedSet& a, const eval::EmbeddedSet& b,
                                const Config& config, Runtime& runtime) {
  return run(
      [&](const eval::NeighbourOptions& options) {
        return eval::find_neighbours_between(a, b, options, runtime.control());
      },
      config, runtime);
}

eval::Neighbours search_identities(const eval::EmbeddedSet& a, const eval::EmbeddedSet& b,
                                   const Config& config, Runtime& runtime) {
  return run(
      [&](eval::NeighbourOptions options) {
        options.centre = config.neighbours.shared;
        return eval::find_shared_identities(a, b, options, runtime.control());
      },
      config, runtime);
}

}  // namespace diffprob::launch
