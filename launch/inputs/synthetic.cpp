#include "launch/inputs/synthetic.h"

#include <algorithm>

namespace diffprob::launch {

bool is_synthetic(const Config& config) {
  return config.data.train == std::vector<std::string>{"synthetic"};
}

data::SyntheticFacesOptions synthetic_options(const Config& config) {
  data::SyntheticFacesOptions options = config.synthetic;
  options.seed = static_cast<std::uint64_t>(config.seed);
  options.threads = std::max(1, config.data.loader.decode_threads);
  return options;
}

}  // namespace diffprob::launch
