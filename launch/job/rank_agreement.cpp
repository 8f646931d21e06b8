#include "launch/job/rank_agreement.h"

#include <link.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "data/files/sha256.h"
#include "data/files/text_lines.h"
#include "dist/mpi/agreement.h"
#include "launch/config/fields.h"
#include "launch/job/read_config.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kShownKeys = 5;  // of those that differ
constexpr int kClockRounds = 3;

bool all_equal(const std::vector<std::string>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

/// "rank 3 on node2", "ranks 0-3 5 on node1 node2"
std::string describe(const std::vector<int>& ranks, const std::vector<std::string>& hosts) {
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  std::vector<std::string> places;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    text += last == i ? fmt::format(" {}", ranks[i]) : fmt::format(" {}-{}", ranks[i], ranks[last]);
    for (; i <= last; ++i) {
      const std::string& host = hosts[static_cast<std::size_t>(ranks[i])];
      if (std::find(places.begin(), places.end(), host) == places.end()) places.push_back(host);
    }
  }
  return fmt::format("{} on {}", text, fmt::join(places, " "));
}

struct Group {
  std::string value;
  std::vector<int> ranks;
};

/// Ranks with the same value, in the order of their first ranks.
std::vector<Group> groups_of(const std::vector<std::string>& values) {
  std::vector<Group> groups;
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.value == values[rank]; });
    if (group == groups.end()) group = groups.insert(group, {values[rank], {}});
    group->ranks.push_back(static_cast<int>(rank));
  }
  return groups;
}

void check_programs(const std::vector<std::string>& programs,
                    const std::vector<std::string>& hosts) {
  if (all_equal(programs)) return;
  std::string text;
  for (const Group& group : groups_of(programs))
    text += fmt::format("\n  {}: {}", describe(group.ranks, hosts), group.value);
  throw RanksDiffer("the ranks run different programs:" + text +
                    "\nInstall the same build and LibTorch on all nodes, or start them from a "
                    "folder that all nodes share.");
}

void check_problems(const std::vector<std::string>& problems,
                    const std::vector<std::string>& hosts) {
  if (all_equal(problems)) return;
  std::string text;
  for (const Group& group : groups_of(problems)) {
    text += fmt::format("\n  {}: {}", describe(group.ranks, hosts),
                        group.value.empty() ? "no problem" : group.value);
  }
  throw RanksDiffer("some ranks cannot use the configuration:" + text +
                    "\nThe same file must be at the same path on all nodes.");
}

/// "\n  train.lr: 0.1 on ranks 0-1 on node1; 0.2 on rank 2 on node2", a line for each key that
/// differs.
std::vector<std::string> different_keys(const std::vector<std::string>& settings,
                                        const std::vector<std::string>& hosts) {
  std::map<std::string, std::vector<std::string>> values;  // of all ranks
  for (std::size_t rank = 0; rank < settings.size(); ++rank) {
    for (const auto& [key, value] : data::parse_key_values(settings[rank])) {
      auto& of_ranks = values.try_emplace(key, settings.size(), "missing").first->second;
      of_ranks[rank] = value;
    }
  }
  std::vector<std::string> lines;
  for (const auto& [key, of_ranks] : values) {
    if (all_equal(of_ranks)) continue;
    std::vector<std::string> parts;
    for (const Group& group : groups_of(of_ranks))
      parts.push_back(group.value + " on " + describe(group.ranks, hosts));
    lines.push_back(fmt::format("\n  {}: {}", key, fmt::join(parts, "; ")));
  }
  return lines;
}

void check_settings(const std::vector<std::string>& settings,
                    const std::vector<std::string>& hosts) {
  if (all_equal(settings)) return;
  std::vector<std::string> lines = different_keys(settings, hosts);
  if (lines.size() > kShownKeys) {
    const std::size_t others = lines.size() - kShownKeys;
    lines.resize(kShownKeys);
    lines.push_back(fmt::format("\n  and {} more", others));
  }
  throw RanksDiffer(
      fmt::format("the ranks have different configurations:{}", fmt::join(lines, "")) +
      "\nStart all ranks with the same options, and with the same configuration file at the same "
      "path on all nodes.");
}

std::string settings_of(const CommandLine& line, const Config& config) {
  std::string text =
      fmt::format("command={}\nflags={}\n", line.command, fmt::join(line.flags, " "));
  Config copy = config;
  for (const Field& field : config_fields(copy)) text += field.key + "=" + value_text(field) + "\n";
  return text;
}

/// Where the dynamic linker has found a library, or "".
std::string loaded_library(std::string_view name) {
  std::pair<std::string_view, std::string> search{name, ""};
  const auto look = [](dl_phdr_info* info, std::size_t, void* data) {
    auto& [wanted, found] = *static_cast<std::pair<std::string_view, std::string>*>(data);
    if (std::string_view(info->dlpi_name).find(wanted) == std::string_view::npos) return 0;
    found = info->dlpi_name;
    return 1;
  };
  ::dl_iterate_phdr(look, &search);
  return search.second;
}

std::string program_text() {
  std::error_code unknown;
  const std::string libtorch = loaded_library("libtorch_cpu.so");
  const std::uintmax_t bytes = libtorch.empty() ? 0 : std::filesystem::file_size(libtorch, unknown);
  return fmt::format("diffprob {}, SHA-256 {}, with a LibTorch of {} bytes", DIFFPROB_VERSION,
                     data::sha256_file("/proc/self/exe").substr(0, 16), bytes);
}

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double middle_of(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[(times.size() - 1) / 2];
}

/// Of a clock from the middle one.
double largest_distance(const std::vector<double>& times) {
  const double middle = middle_of(times);
  double distance = 0;
  for (const double time : times) distance = std::max(distance, std::abs(time - middle));
  return distance;
}

}  // namespace

void check_agreement(const RankFacts& own, dist::HostCollectives& control) {
  std::array<char, 64> digest{};
  const std::string hex =
      data::sha256_hex(fmt::format("{}\n{}\n{}", own.program, own.problem, own.settings));
  std::copy(hex.begin(), hex.end(), digest.begin());
  const auto digests = control.all_gather(digest);
  if (std::adjacent_find(digests.begin(), digests.end(), std::not_equal_to<>()) == digests.end())
    return;
  const std::vector<std::string> hosts = dist::gather_texts(control, own.host);
  const std::vector<std::string> programs = dist::gather_texts(control, own.program);
  const std::vector<std::string> problems = dist::gather_texts(control, own.problem);
  const std::vector<std::string> settings = dist::gather_texts(control, own.settings);
  check_programs(programs, hosts);
  check_problems(problems, hosts);
  check_settings(settings, hosts);
}

std::string clock_problem(const std::string& host, const std::function<double()>& now,
                          dist::HostCollectives& control) {
  std::vector<double> times;
  for (int round = 0; round < kClockRounds; ++round) {
    control.barrier("comparison of clocks");
    const std::vector<double> found = control.all_gather(now());
    if (times.empty() || largest_distance(found) < largest_distance(times)) times = found;
    if (largest_distance(times) <= kClockTolerance) return "";
  }
  const std::vector<std::string> hosts = dist::gather_texts(control, host);
  std::vector<std::string> parts;
  for (std::size_t rank = 0; rank < times.size(); ++rank) {
    const double ahead = times[rank] - middle_of(times);
    if (std::abs(ahead) <= kClockTolerance) continue;
    parts.push_back(fmt::format("{} is {:.1f} s {}", describe({static_cast<int>(rank)}, hosts),
                                std::abs(ahead), ahead > 0 ? "ahead" : "behind"));
  }
  return fmt::format(
      "the clocks of the nodes differ: {}. Times in logs and of files are inconsistent; "
      "synchronise the clocks (NTP, chrony).",
      fmt::join(parts, ", "));
}

Config agreed_config(const CommandLine& line, const dist::MpiEnvironment& mpi) {
  if (mpi.world_size() == 1) return read_config(line);
  RankFacts own{mpi.host_name(), program_text(), "", ""};
  Config config;
  std::exception_ptr unusable;
  dist::Deadlines deadlines;
  try {
    config = read_config(line);
    own.settings = settings_of(line, config);
    deadlines.startup =
        std::chrono::milliseconds(static_cast<std::int64_t>(1000 * config.dist.startup_timeout));
  } catch (const ConfigError& error) {
    own.problem = error.what();
    unusable = std::current_exception();
  }
  dist::HostCollectives control(deadlines);
  check_agreement(own, control);
  if (unusable) std::rethrow_exception(unusable);
  const std::string clocks = clock_problem(own.host, wall_clock, control);
  if (!clocks.empty() && mpi.rank() == 0) spdlog::warn("{}", clocks);
  return config;
}

}  // namespace diffprob::launch
