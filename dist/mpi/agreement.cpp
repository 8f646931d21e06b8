#include "dist/mpi/agreement.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <future>
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

void in_rounds(HostCollectives& control, const std::function<void()>& work,
               std::source_location where) {
  auto done = std::async(std::launch::async, work);
  std::int32_t at_work = 1;
  while (at_work != 0) {
    at_work = done.wait_for(std::chrono::seconds(1)) == std::future_status::ready ? 0 : 1;
    at_work = control.all_reduce(at_work, ReduceOp::kMax, where);
  }
  done.get();
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
