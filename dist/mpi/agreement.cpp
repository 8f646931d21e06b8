#include "dist/mpi/agreement.h"

#include <algorithm>
#include <cstdint>
#include <span>

namespace diffprob::dist {

std::optional<std::string> FirstProblem::agreed_message(HostCollectives& control,
                                                        const std::source_location& where) const {
  const auto failed = control.all_gather(std::int32_t{problem_ ? 1 : 0}, where);
  const auto first = std::find(failed.begin(), failed.end(), 1);
  if (first == failed.end()) return std::nullopt;
  const auto rank = static_cast<int>(first - failed.begin());
  const std::string message = control.broadcast(problem_.value_or(""), rank, where);
  // A problem that all ranks share, such as a bad option, belongs to none of them.
  const bool all_failed = std::find(failed.begin(), failed.end(), 0) == failed.end();
  return all_failed ? message : "rank " + std::to_string(rank) + ": " + message;
}

std::vector<std::string> gather_texts(HostCollectives& control, const std::string& text,
                                      std::source_location where) {
  std::vector<std::int64_t> lengths;
  const std::vector<char> all = control.all_gather_v(std::span<const char>(text), &lengths, where);
  std::vector<std::string> texts;
  auto at = all.begin();
  for (const std::int64_t length : lengths) {
    texts.emplace_back(at, at + length);
    at += length;
  }
  return texts;
}

}  // namespace diffprob::dist
