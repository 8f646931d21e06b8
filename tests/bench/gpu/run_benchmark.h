#pragma once

#include <cstdio>
#include <exception>

#include "dist/mpi/environment.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::bench {

/// main() of a benchmark. parse(argc, argv) -> options with `config`, a list of overrides;
/// measure(options, config, runtime) -> JSON, which rank 0 prints as one line. An error ends all
/// ranks.
template <class Parse, class Measure>
int run_benchmark(int argc, char** argv, const Parse& parse, const Measure& measure) {
  dist::MpiEnvironment mpi(&argc, &argv);
  try {
    const auto options = parse(argc, argv);
    const launch::Config config = launch::parse_config("", "", options.config);
    launch::Runtime runtime(mpi, config);
    const auto result = measure(options, config, runtime);
    if (runtime.is_root()) std::printf("%s\n", result.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    mpi.abort(1);
  }
  return 0;
}

}  // namespace diffprob::bench
