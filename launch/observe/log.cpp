#include "launch/observe/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace diffprob::launch {

void set_up_log(int rank, int world_size) {
  auto logger = std::make_shared<spdlog::logger>(
      "diffprob", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  const std::size_t width = std::to_string(world_size - 1).size();
  logger->set_pattern(
      fmt::format("%Y-%m-%d %H:%M:%S.%e [%L] [r{:0{}}/{}] %v", rank, width, world_size));
  logger->set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace diffprob::launch
