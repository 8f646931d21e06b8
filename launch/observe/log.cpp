#include "launch/observe/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>

#include "launch/observe/log_file.h"

namespace diffprob::launch {

void set_up_log(int rank, int world_size, const std::string& command) {
  const auto console = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("diffprob", console);
  if (rank == 0) {
    logger->sinks().push_back(std::make_shared<LogFile>(
        console, fmt::format("diffprob {} starts on {} rank{}, rank 0 as process {}", command,
                             world_size, world_size == 1 ? "" : "s", ::getpid())));
  }
  const std::size_t width = std::to_string(world_size - 1).size();
  logger->set_pattern(
      fmt::format("%Y-%m-%d %H:%M:%S.%e [%L] [r{:0{}}/{}] %v", rank, width, world_size));
  logger->set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void log_to_file(const std::string& path) {
  for (const auto& sink : spdlog::default_logger()->sinks())
    if (const auto file = std::dynamic_pointer_cast<LogFile>(sink)) file->open(path);
}

}  // namespace diffprob::launch
