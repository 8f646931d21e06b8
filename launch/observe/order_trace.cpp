#include "launch/observe/order_trace.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

#include "data/files/atomic_file.h"

namespace diffprob::launch {
namespace {

/// Whole lines of steps before `first_step`.
std::string lines_before(const std::string& path, std::int64_t first_step) {
  std::string kept;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool has_step =
        entry.is_object() && entry.contains("step") && entry["step"].is_number_integer();
    if (has_step && entry["step"].get<std::int64_t>() < first_step) kept += line + "\n";
  }
  return kept;
}

}  // namespace

OrderTrace::OrderTrace(const std::string& folder, int rank, std::int64_t first_step)
    : path_(fmt::format("{}/order.rank{:05d}.jsonl", folder, rank)) {
  data::write_file_atomically(path_, lines_before(path_, first_step));
  file_.open(path_, std::ios::app);
  if (!file_) throw std::runtime_error(path_ + ": cannot be opened for writing");
}

void OrderTrace::write(std::int64_t step, const at::Tensor& indices) {
  const std::span<const std::int64_t> values(indices.const_data_ptr<std::int64_t>(),
                                             static_cast<std::size_t>(indices.numel()));
  file_ << fmt::format("{{\"step\":{},\"indices\":[{}]}}\n", step, fmt::join(values, ","))
        << std::flush;
  if (!file_) throw std::runtime_error(path_ + ": cannot be written");
}

}  // namespace diffprob::launch
