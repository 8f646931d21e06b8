#include "launch/score/sample_parts.h"

#include <c10/util/Exception.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/files/atomic_file.h"
#include "data/files/input_file.h"
#include "data/files/sha256.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kDigestSize = 64;
constexpr std::int64_t kLongestHeader = std::int64_t{1} << 20;  // bytes, with the digest at the end
constexpr const char* kFormat = "part.%12lld-%12lld.%5d-of-%5d%n";
constexpr const char* kTemporaryMark = ".tmp.";
static_assert(std::endian::native == std::endian::little,
              "records are written as they lie in memory");

/// What differs, one key after the other.
std::string differences(const nlohmann::json& found, const nlohmann::json& expected) {
  std::string text;
  for (const auto& [key, value] : expected.items()) {
    if (found.contains(key) && found.at(key) == value) continue;
    text += (text.empty() ? "" : ", ") + key + " " +
            (found.contains(key) ? found.at(key).dump() : "missing") + ", expected " + value.dump();
  }
  return text;
}

}  // namespace

SampleParts::SampleParts(std::string folder, PartsPlan plan, dist::HostCollectives& control)
    : folder_(std::move(folder)), plan_(std::move(plan)), control_(control) {
  const std::vector<Part> parts = found();
  std::vector<std::int32_t> verdicts(parts.size(), 0);
  const auto ranks = static_cast<std::size_t>(control_.world_size());
  for (auto i = static_cast<std::size_t>(control_.rank()); i < parts.size(); i += ranks) {
    verdicts[i] = static_cast<std::int32_t>(judge(parts[i]));
  }
  control_.all_reduce(std::span(verdicts), dist::ReduceOp::kMax);
  std::int64_t covered = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto verdict = static_cast<Verdict>(verdicts[i]);
    if (verdict == Verdict::kWhole && parts[i].first < covered)
      verdict = Verdict::kForeign;  // another whole part has its samples
    if (verdict == Verdict::kWhole) {
      whole_.push_back(parts[i]);
      covered = parts[i].last;
    } else if (control_.rank() == 0) {
      set_aside(parts[i], verdict);
    }
  }
  control_.barrier("parts of an earlier run");
}

std::string SampleParts::path(const Part& part, int rank) const {
  return fmt::format("{}/part.{:012d}-{:012d}.{:05d}-of-{:05d}", folder_, part.first, part.last,
                     rank, part.world_size);
}

std::string SampleParts::header(const Part& part, int rank, std::int64_t records) const {
  nlohmann::json json = plan_.header;
  json["num_samples"] = plan_.num_samples;
  json["first_sample"] = part.first;
  json["last_sample"] = part.last;
  json["rank"] = rank;
  json["world_size"] = part.world_size;
  json["records"] = records;
  return json.dump();
}

std::vector<SampleParts::Part> SampleParts::found() const {
  std::string names;
  if (control_.rank() == 0) {
    fs::create_directories(folder_);
    for (const auto& item : fs::directory_iterator(folder_)) {
      const std::string name = item.path().filename();
      if (name.find(kTemporaryMark) != std::string::npos)
        fs::remove(item.path());
      else
        names += name + "\n";
    }
  }
  std::vector<Part> parts;
  std::istringstream list(control_.broadcast(names, 0));
  for (std::string name; std::getline(list, name);) {
    long long first = 0;
    long long last = 0;
    int rank = 0;
    int length = 0;
    Part part{};
    if (std::sscanf(name.c_str(), kFormat, &first, &last, &rank, &part.world_size, &length) != 4)
      continue;
    if (static_cast<std::size_t>(length) != name.size() || first < 0 || last <= first || rank < 0 ||
        rank >= part.world_size)
      continue;
    part.first = first;
    part.last = last;
    parts.push_back(part);
  }
  const auto order = [](const Part& a, const Part& b) {
    return std::tie(a.first, a.last, a.world_size) < std::tie(b.first, b.last, b.world_size);
  };
  std::sort(parts.begin(), parts.end(), order);
  const auto equal = [&](const Part& a, const Part& b) { return !order(a, b) && !order(b, a); };
  parts.erase(std::unique(parts.begin(), parts.end(), equal), parts.end());
  return parts;
}

std::string SampleParts::read(const Part& part, int rank, std::string& foreign) const {
  const std::string file = path(part, rank);
  const std::int64_t record_bytes = plan_.record_bytes;
  std::string content =
      data::read_text_file(file, kLongestHeader + (part.last - part.first) * record_bytes);
  const std::size_t body = content.size() < kDigestSize ? 0 : content.size() - kDigestSize;
  TORCH_CHECK(body > 0 && data::sha256_hex(std::string_view(content).substr(0, body)) ==
                              content.substr(body),
              file, " is corrupted: its SHA-256 does not match");
  const std::size_t line = content.find('\n');
  TORCH_CHECK(line < body, file, " is corrupted: no header");
  const auto bytes = static_cast<std::int64_t>(body - line - 1);
  const auto found =
      nlohmann::json::parse(content.substr(0, line), nullptr, /*allow_exceptions=*/false);
  TORCH_CHECK(found.is_object(), file, " is corrupted: no header");
  foreign = differences(found, nlohmann::json::parse(header(part, rank, bytes / record_bytes)));
  TORCH_CHECK(!foreign.empty() || bytes % record_bytes == 0, file,
              " is corrupted: an incomplete record");
  content.resize(body);
  content.erase(0, line + 1);
  return content;
}

SampleParts::Verdict SampleParts::judge(const Part& part) const {
  for (int rank = 0; rank < part.world_size; ++rank) {
    if (!fs::exists(path(part, rank))) return Verdict::kIncomplete;
  }
  for (int rank = 0; rank < part.world_size; ++rank) {
    std::string problem;
    try {
      std::string foreign;
      (void)read(part, rank, foreign);
      if (foreign.empty()) continue;
      spdlog::warn("{} belongs to another run, renamed to *.foreign: {}", path(part, rank),
                   foreign);
      return Verdict::kForeign;
    } catch (const c10::Error& error) {
      problem = error.what_without_backtrace();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    spdlog::warn("{}; renamed to *.damaged, and its samples {} to {} are done again", problem,
                 part.first, part.last - 1);
    return Verdict::kDamaged;
  }
  return Verdict::kWhole;
}

void SampleParts::set_aside(const Part& part, Verdict verdict) const {
  for (int rank = 0; rank < part.world_size; ++rank) {
    const std::string file = path(part, rank);
    std::error_code missing;
    if (verdict == Verdict::kIncomplete)
      fs::remove(file, missing);
    else
      fs::rename(file, file + (verdict == Verdict::kForeign ? ".foreign" : ".damaged"), missing);
  }
}

std::vector<prune::SampleRange> SampleParts::missing() const {
  std::vector<Part> parts = whole_;
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.first < b.first; });
  parts.push_back({plan_.num_samples, plan_.num_samples, 0});
  std::vector<prune::SampleRange> missing;
  std::int64_t covered = 0;
  for (const Part& part : parts) {
    if (part.first > covered) missing.push_back({covered, part.first});
    covered = std::max(covered, part.last);
  }
  return missing;
}

std::int64_t SampleParts::samples_done() const {
  std::int64_t samples = 0;
  for (const Part& part : whole_) samples += part.last - part.first;
  return samples;
}

void SampleParts::write(prune::SampleRange samples, std::span<const std::byte> records) {
  const Part part{samples.first, samples.last, control_.world_size()};
  TORCH_CHECK(static_cast<std::int64_t>(records.size()) % plan_.record_bytes == 0,
              "parts: ", records.size(), " bytes, expected whole records of ", plan_.record_bytes);
  std::string content = header(part, control_.rank(),
                               static_cast<std::int64_t>(records.size()) / plan_.record_bytes) +
                        "\n";
  content.append(reinterpret_cast<const char*>(records.data()), records.size());
  content += data::sha256_hex(content);
  data::write_file_atomically(path(part, control_.rank()), content);
  whole_.push_back(part);
}

void SampleParts::read_all(const TakePart& take) {
  control_.barrier("parts written");
  if (control_.rank() != 0) return;
  std::vector<Part> parts = whole_;
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.first < b.first; });
  for (const Part& part : parts) {
    for (int rank = 0; rank < part.world_size; ++rank) {
      std::string foreign;
      const std::string records = read(part, rank, foreign);
      TORCH_CHECK(foreign.empty(), path(part, rank),
                  " was changed while its run was at work: ", foreign);
      take({part.first, part.last}, std::as_bytes(std::span(records)), path(part, rank));
    }
  }
}

void SampleParts::remove() {
  if (control_.rank() == 0) {
    std::error_code
        kept;  // what could not be removed is harmless: the next run finds it whole, or foreign
    for (const Part& part : whole_) {
      for (int rank = 0; rank < part.world_size; ++rank) fs::remove(path(part, rank), kept);
    }
    fs::remove(folder_, kept);  // not when something else is in it
  }
  control_.barrier("parts removed");
}

}  // namespace diffprob::launch
