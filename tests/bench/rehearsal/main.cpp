// Stages of tests/bench/rehearsal.sh; see rehearsal/stages.h.
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <cstdlib>

#include "dist/mpi/environment.h"
#include "tests/bench/rehearsal/stages.h"

namespace {

using namespace diffprob;
using Words = std::vector<std::string>;

constexpr const char* kUsage =
    "usage: rehearsal_bench set FOLDER SAMPLES IDENTITIES SHARDS\n"
    "       rehearsal_bench orders KEPT RANKS PATH...\n"
    "       rehearsal_bench scores FOLDER KILL_AFTER PATH...\n"
    "       rehearsal_bench dynamics FOLDER PATH...\n"
    "       rehearsal_bench write_head|read_head FOLDER CLASSES\n";

Words from(const Words& words, std::size_t first) {
  return {words.begin() + static_cast<std::ptrdiff_t>(first), words.end()};
}

bool run(const Words& words, dist::HostCollectives& control) {
  const std::size_t n = words.size();
  const std::string stage = n == 0 ? "" : words[0];
  const auto number = [&](std::size_t i) { return std::atoll(words[i].c_str()); };
  if (stage == "set" && n == 5)
    rehearsal::write_set(words[1], number(2), number(3), static_cast<int>(number(4)));
  else if (stage == "orders" && n >= 4)
    rehearsal::walk_orders(from(words, 3), words[1], static_cast<int>(number(2)));
  else if (stage == "scores" && n >= 4)
    rehearsal::write_scores(words[1], from(words, 3), number(2), control);
  else if (stage == "dynamics" && n >= 3)
    rehearsal::write_dynamics(words[1], from(words, 2));
  else if (stage == "write_head" && n == 3)
    rehearsal::write_head(words[1], number(2), control);
  else if (stage == "read_head" && n == 3)
    rehearsal::read_head(words[1], number(2), control);
  else
    return false;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiEnvironment mpi(&argc, &argv);
  try {
    const at::NoGradGuard no_grad;
    dist::HostCollectives control;
    if (run(Words(argv + 1, argv + argc), control)) return 0;
    std::fputs(kUsage, stderr);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rehearsal_bench: %s\n", error.what());
    mpi.abort(1);
  }
}
