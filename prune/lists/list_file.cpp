#include "prune/lists/list_file.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <unordered_map>
#include <utility>

#include "data/files/atomic_file.h"
#include "data/files/input_file.h"
#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/files/npy_file.h"
#include "prune/lists/kept_index_text.h"

namespace diffprob::prune {
namespace {

using Missing = ListNeedsMore::What;

constexpr std::int64_t kMostSamples = std::int64_t{1} << 32;
constexpr std::int64_t kLargestList = std::int64_t{1} << 36;  // bytes, up to 16 per sample

/// Numbers of a list -> sample indices, in place.
void to_indices(const std::string& path, const ListOptions& options,
                std::vector<std::int64_t>& numbers) {
  const std::int64_t lowest = options.base == IndexBase::kKey ? 1 : 0;
  const std::int64_t highest =
      lowest + (options.num_samples > 0 ? options.num_samples : kMostSamples) - 1;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < lowest || numbers[i] > highest) {
      throw PruneError(path + ": entry " + std::to_string(i) + " is " + std::to_string(numbers[i]) +
                       ", expected " + std::to_string(lowest) + " to " + std::to_string(highest) +
                       (lowest == 1 ? " (record keys)" : ""));
    }
    numbers[i] -= lowest;
  }
}

/// Reads one number a line.
std::vector<std::int64_t> read_lines(const std::string& path) {
  std::vector<std::int64_t> numbers;
  data::TextLines lines(path);
  while (lines.next()) {
    std::int64_t number = 0;
    if (!data::parse_number(lines.text(), number) || number < 0)
      lines.fail("a sample index (a whole number, 0 or more)", lines.text());
    numbers.push_back(number);
  }
  return numbers;
}

std::vector<std::int64_t> read_comma(const std::string& path, ListKind kind) {
  NumberList list = parse_number_list(path, data::read_text_file(path, kLargestList), 0,
                                      std::numeric_limits<std::int64_t>::max());
  const ListName wanted = kind == ListKind::kKeptIndex      ? ListName::kKeptIndex
                          : kind == ListKind::kDroppedIndex ? ListName::kDroppedIndex
                                                            : ListName::kNone;
  if (list.name != wanted)
    throw PruneError(path + ": the name of the list is not that of the kind '" +
                     info_of(kind).name + "'");
  return std::move(list.numbers);
}

/// Samples that a mask marks. N comes from the mask when nobody gives it.
std::vector<std::int64_t> read_mask(const std::string& path, std::int64_t& num_samples) {
  const std::vector<std::uint8_t> mask = NpyFile(path).mask();
  const auto length = static_cast<std::int64_t>(mask.size());
  if (num_samples > 0 && length != num_samples) {
    throw PruneError(path + ": a mask of " + std::to_string(length) +
                     " samples, but the data set has " + std::to_string(num_samples));
  }
  num_samples = length;
  std::vector<std::int64_t> marked;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] != 0) marked.push_back(static_cast<std::int64_t>(i));
  }
  return marked;
}

class NameReader {
 public:
  NameReader(const std::string& path, const std::vector<std::string>& names)
      : names_(names), lines_(path) {
    positions_.reserve(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!positions_.emplace(without_dot(names[i]), i).second)
        throw PruneError(path + ": two samples of the data set are named '" + names[i] + "'");
    }
  }

  std::vector<std::int64_t> read(ListKind kind) {
    std::vector<std::int64_t> indices;
    while (lines_.next()) {
      if (lines_.text().starts_with('#')) continue;
      indices.push_back(find(kind == ListKind::kMsCeleb ? file_of_identity() : lines_.text()));
    }
    return indices;
  }

 private:
  static std::string_view without_dot(std::string_view name) {
    if (name.starts_with("./")) name.remove_prefix(2);
    return name;
  }

  /// `identity<blank>folder/file`. A list can keep a sample, but not give it to another identity.
  std::string_view file_of_identity() const {
    const std::string_view line = lines_.text();
    const auto blank = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view identity = line.substr(0, blank);
    const std::string_view file = without_dot(data::trim(line.substr(blank)));
    if (file.empty()) lines_.fail("'identity file'", line);
    const auto slash = file.rfind('/');
    if (slash != std::string_view::npos && file.substr(0, slash) != identity) {
      lines_.fail("'" + data::printable(file) + "' is given to identity '" +
                  data::printable(identity) +
                  "', which is not its folder: relabelled images cannot be " +
                  "expressed by a kept list; remove such lines");
    }
    return file;
  }

  std::int64_t find(std::string_view name) const {
    const auto found = positions_.find(without_dot(name));
    if (found == positions_.end()) {
      lines_.fail("'" + std::string(name.substr(0, 80)) + "' is not an image of the data set" +
                  (names_.empty() ? "" : " (its first one is '" + names_.front() + "')"));
    }
    return static_cast<std::int64_t>(found->second);
  }

  const std::vector<std::string>& names_;
  data::TextLines lines_;
  std::unordered_map<std::string_view, std::size_t> positions_;
};

std::vector<std::int64_t> read_names(const std::string& path, ListKind kind,
                                     const ListOptions& options) {
  if (options.names == nullptr)
    throw ListNeedsMore(Missing::kNames, path +
                                             ": no numbers. Does it hold names of image files? "
                                             "Such a list can be read only with the data set");
  return NameReader(path, *options.names).read(kind);
}

/// Lists with our names, masks and names of files never hold record keys.
void check_base(const std::string& path, ListKind kind, IndexBase base) {
  const bool numbers = kind == ListKind::kComma || kind == ListKind::kAdaFace ||
                       kind == ListKind::kLines || kind == ListKind::kNpyIndex ||
                       kind == ListKind::kCvlface;
  if (base == IndexBase::kIndex || numbers) return;
  throw PruneError(
      path + ": a list of kind '" + info_of(kind).name +
      "' cannot hold record keys; kinds that can: comma, adaface, lines, npy-index, cvlface");
}

/// What the list says, from the kind and from the user.
ListMeaning agreed_meaning(const std::string& path, ListKind kind, ListMeaning said) {
  const ListKindInfo& info = info_of(kind);
  if (info.meaning != ListMeaning::kUnsaid && said != ListMeaning::kUnsaid &&
      info.meaning != said) {
    throw PruneError(path + ": a list of kind '" + info.name + "' names " +
                     meaning_name(info.meaning) + " samples, not " + meaning_name(said) + " ones");
  }
  const ListMeaning meaning = info.meaning == ListMeaning::kUnsaid ? said : info.meaning;
  if (meaning == ListMeaning::kUnsaid) {
    const bool mask = kind == ListKind::kNpyMask;
    throw ListNeedsMore(Missing::kMeaning,
                        path + ": " + (mask ? "a mask" : "a list") + " of kind '" + info.name +
                            "' does not say whether " + (mask ? "True means" : "it names") +
                            " kept or dropped samples");
  }
  return meaning;
}

std::vector<std::int64_t> all_but(const std::string& path, const std::vector<std::int64_t>& dropped,
                                  std::int64_t num_samples) {
  if (num_samples <= 0) {
    throw ListNeedsMore(Missing::kSampleCount,
                        path + ": a list of dropped samples needs the number of samples");
  }
  std::vector<std::int64_t> kept;
  kept.reserve(static_cast<std::size_t>(num_samples) -
               std::min(dropped.size(), static_cast<std::size_t>(num_samples)));
  std::size_t next = 0;
  for (std::int64_t i = 0; i < num_samples; ++i) {
    if (next < dropped.size() && dropped[next] == i) {
      ++next;
    } else {
      kept.push_back(i);
    }
  }
  return kept;
}

/// As they are listed; `options.num_samples` is set by masks.
std::vector<std::int64_t> read_indices(const std::string& path, ListKind kind,
                                       ListOptions& options) {
  std::vector<std::int64_t> numbers;
  switch (kind) {
    case ListKind::kIndexSet:
      break;
    case ListKind::kNames:
    case ListKind::kMsCeleb:
      return read_names(path, kind, options);
    case ListKind::kNpyMask:
      return read_mask(path, options.num_samples);
    case ListKind::kCleanlab:
      if (NpyFile(path).type() == NpyType::kBool) return read_mask(path, options.num_samples);
      [[fallthrough]];
    case ListKind::kNpyIndex:
    case ListKind::kCvlface:
      numbers = NpyFile(path).integers();
      break;
    case ListKind::kLines:
      numbers = read_lines(path);
      break;
    case ListKind::kKeptIndex:
    case ListKind::kDroppedIndex:
    case ListKind::kComma:
    case ListKind::kAdaFace:
      numbers = read_comma(path, kind);
      break;
  }
  to_indices(path, options, numbers);
  return numbers;
}

void write_lines(const std::string& path, const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) text += std::to_string(number) + "\n";
  data::write_file_atomically(path, text);
}

void write_comma(const std::string& path, const std::string& before,
                 const std::vector<std::int64_t>& numbers, const std::string& between,
                 const std::string& after) {
  std::string text = before;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    text += (i == 0 ? "" : between) + std::to_string(numbers[i]);
  data::write_file_atomically(path, text + after);
}

void write_mask(const std::string& path, const IndexSet& set, ListMeaning marked) {
  if (set.num_samples <= 0)
    throw ListNeedsMore(Missing::kSampleCount, path + ": a mask needs the number of samples");
  const std::uint8_t kept = marked == ListMeaning::kKept ? 1 : 0;
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(set.num_samples), 1 - kept);
  for (const std::int64_t i : set.kept) mask.at(static_cast<std::size_t>(i)) = kept;
  write_npy_mask(path, mask);
}

void write_names(const std::string& path, ListKind kind, const IndexSet& set,
                 const ListOptions& options) {
  if (options.names == nullptr)
    throw ListNeedsMore(Missing::kNames, path + ": names of image files need the data set");
  std::string text;
  for (const std::int64_t i : set.kept) {
    const std::string& name = options.names->at(static_cast<std::size_t>(i));
    const auto slash = name.rfind('/');
    if (kind == ListKind::kMsCeleb && slash == std::string::npos)
      throw PruneError(path + ": '" + name + "' is not in a folder that names its identity");
    text += (kind == ListKind::kMsCeleb ? name.substr(0, slash) + "\t" : "") + name + "\n";
  }
  data::write_file_atomically(path, text);
}

}  // namespace

IndexSet read_list(const std::string& path, const ListOptions& given) {
  ListOptions options = given;
  if (options.num_samples < 0 || options.num_samples > kMostSamples) {
    throw PruneError(path + ": " + std::to_string(options.num_samples) +
                     " samples, expected 0 to 2^32");
  }
  const ListKind kind = options.kind ? *options.kind : detect_list_kind(path);
  check_base(path, kind, options.base);
  const ListMeaning meaning = agreed_meaning(path, kind, options.meaning);
  if (kind == ListKind::kIndexSet) return read_index_set_hdf5(path, options.num_samples);
  std::vector<std::int64_t> listed = read_indices(path, kind, options);
  sort_indices(path, listed);
  IndexSet set;
  set.kept = meaning == ListMeaning::kKept ? std::move(listed)
                                           : all_but(path, listed, options.num_samples);
  set.num_samples = options.num_samples;
  set.method = "list";
  return set;
}

void write_list(const std::string& path, ListKind kind, const IndexSet& set,
                const ListOptions& options) {
  check_base(path, kind, options.base);
  if (kind == ListKind::kIndexSet && set.num_samples == 0) {
    throw ListNeedsMore(Missing::kSampleCount, path + ": an index set needs the number of samples");
  }
  if (kind == ListKind::kIndexSet) return write_index_set_hdf5(path, set);
  if (kind == ListKind::kNpyMask) return write_mask(path, set, ListMeaning::kKept);
  if (kind == ListKind::kCleanlab) return write_mask(path, set, ListMeaning::kDropped);
  if (kind == ListKind::kNames || kind == ListKind::kMsCeleb)
    return write_names(path, kind, set, options);
  const bool dropped = info_of(kind).meaning == ListMeaning::kDropped;
  std::vector<std::int64_t> numbers = dropped ? all_but(path, set.kept, set.num_samples) : set.kept;
  for (std::int64_t& number : numbers) number += options.base == IndexBase::kKey ? 1 : 0;
  if (kind == ListKind::kKeptIndex)
    return write_comma(path, "kept_index = [", numbers, ", ", "]\n");
  if (kind == ListKind::kDroppedIndex)
    return write_comma(path, "dropped_index = [", numbers, ", ", "]\n");
  if (kind == ListKind::kComma || kind == ListKind::kAdaFace)
    return write_comma(path, "", numbers, ",", "\n");
  if (kind == ListKind::kLines) return write_lines(path, numbers);
  write_npy<std::int64_t>(path, numbers);
}

}  // namespace diffprob::prune
