#include "model/head_files/rank_order.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <string_view>

#include <c10/util/Exception.h>

namespace diffprob::model {
namespace fs = std::filesystem;
namespace {

/// What stands before the number of a rank, the longer ones first.
constexpr std::array<std::string_view, 6> kMarks = {"gpu_",   "rank_",  "rank",
                                                    "split_", "shard_", "shard"};
constexpr std::string_view kOwnStart = "head.", kOf = "-of-";
constexpr int kMostRanks = 1 << 20;

std::string file_name(const std::string& path) {
  return fs::path(path).filename().string();
}

/// The number at the start of `text`, and what follows it.
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || number >= kMostRanks) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<RankInName> own_rank(std::string_view name) {
  if (!name.starts_with(kOwnStart)) return std::nullopt;
  name.remove_prefix(kOwnStart.size());
  const auto rank = take_number(name);
  if (!rank || !name.starts_with(kOf)) return std::nullopt;
  name.remove_prefix(kOf.size());
  const auto ranks = take_number(name);
  if (!ranks || *ranks < 1) return std::nullopt;
  return RankInName{*rank, *ranks};
}

std::optional<RankInName> marked_rank(const std::string& name) {
  for (const std::string_view mark : kMarks) {
    const auto at = name.find(mark);
    if (at == std::string::npos) continue;
    std::string_view rest = std::string_view(name).substr(at + mark.size());
    if (const auto rank = take_number(rest)) return RankInName{*rank, 0};
  }
  return std::nullopt;
}

/// A family of files that belong together.
struct Kind {
  const char* pattern;
  std::string_view start, end;
};
constexpr std::array kKinds = {Kind{"head.RRRRR-of-WWWWW.pth", "head.", ".pth"},
                               Kind{"checkpoint_gpu_R.pt", "checkpoint_gpu_", ".pt"},
                               Kind{"rank_R_softmax_weight.pt", "rank_", "_softmax_weight.pt"},
                               Kind{"classifier_rankR.pt", "classifier_rank", ".pt"}};

std::string known_patterns() {
  std::string text;
  for (const Kind& kind : kKinds) text += (text.empty() ? "" : ", ") + std::string(kind.pattern);
  return text;
}

std::vector<std::string> files_of(const std::string& folder) {
  std::map<std::string, std::vector<std::string>> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = file_name(entry.path().string());
    for (const Kind& kind : kKinds) {
      if (name.starts_with(kind.start) && name.ends_with(kind.end) && rank_in_name(name))
        found[kind.pattern].push_back(entry.path().string());
    }
  }
  TORCH_CHECK(!found.empty(), folder, ": this folder holds no file of class centres (",
              known_patterns(), "); name the files themselves");
  TORCH_CHECK(found.size() == 1, folder, ": this folder holds ", found.begin()->first, " and ",
              std::next(found.begin())->first, "; name the files that are meant");
  std::vector<std::string> files = std::move(found.begin()->second);
  std::sort(files.begin(), files.end());
  return files;
}

std::string missing_ranks(const std::map<int, std::string>& by_rank, int ranks) {
  constexpr int kMostNamed = 8;
  std::string text;
  int missing = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    if (by_rank.contains(rank)) continue;
    if (++missing <= kMostNamed) text += (text.empty() ? "" : ", ") + std::to_string(rank);
  }
  if (missing > kMostNamed) text += ", ... (" + std::to_string(missing) + " ranks)";
  return text;
}

}  // namespace

std::optional<RankInName> rank_in_name(const std::string& path) {
  std::string name = file_name(path);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (const auto own = own_rank(name)) return own;
  return marked_rank(name);
}

std::vector<std::string> without_folders(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code none;
    if (!fs::is_directory(path, none)) {
      files.push_back(path);
      continue;
    }
    const auto inside = files_of(path);
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

std::vector<std::string> in_rank_order(const std::vector<std::string>& files) {
  std::map<int, std::string> by_rank;
  std::string unnumbered;
  int ranks = 0;
  for (const std::string& file : files) {
    const auto rank = rank_in_name(file);
    if (!rank) {
      unnumbered = file;
      continue;
    }
    const auto [other, is_new] = by_rank.emplace(rank->rank, file);
    TORCH_CHECK(is_new, "rank ", rank->rank, " is there twice: ", other->second, " and ", file);
    TORCH_CHECK(ranks == 0 || rank->ranks == 0 || ranks == rank->ranks, file, ": is of ",
                rank->ranks, " ranks, but another file is of ", ranks);
    if (rank->ranks > 0) ranks = rank->ranks;
  }
  if (by_rank.empty()) return files;
  TORCH_CHECK(unnumbered.empty(), unnumbered, ": its name has no rank, but that of ",
              by_rank.begin()->second, " has; give files of one kind");
  const int last = by_rank.rbegin()->first;
  const auto count = static_cast<int>(by_rank.size());
  const bool may_be_a_group = last + 1 == count && ranks % count == 0;
  const int expected = ranks > 0 && !may_be_a_group ? ranks : last + 1;
  TORCH_CHECK(last < expected, by_rank.rbegin()->second, ": rank ", last, " of ", expected);
  const std::string missing = missing_ranks(by_rank, expected);
  TORCH_CHECK(missing.empty(), by_rank.begin()->second,
              " and the other files of class centres: ", "those of ranks 0 to ", expected - 1,
              " are needed; missing: rank ", missing);
  std::vector<std::string> sorted;
  for (auto& [rank, file] : by_rank) sorted.push_back(std::move(file));
  return sorted;
}

}  // namespace diffprob::model
