#include "prune/foreign/label_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>

#include "data/files/atomic_file.h"
#include "data/files/input_file.h"
#include "data/files/text_lines.h"
#include "data/pickle/opcodes.h"
#include "data/pickle/reader.h"
#include "prune/error.h"
#include "prune/files/npy_file.h"
#include "prune/lists/kept_index_writer.h"

namespace diffprob::prune {
namespace {

constexpr std::array<LabelFileKindInfo, 4> kKinds = {{
    {LabelFileKind::kLabelMap, "label-map",
     "text, old label to new label: renumbering after cleaning"},
    {LabelFileKind::kLabelMapPickle, "label-map-pickle", "the same as label_map.pkl of the paper"},
    {LabelFileKind::kLabelDict, "label-dict",
     "label_dict.pkl of the paper: the samples of each label"},
    {LabelFileKind::kLabels, "labels", "labels of the samples: .npy, or text with one per line"},
}};

constexpr std::int64_t kLargestFile = std::int64_t{1} << 31;
constexpr std::int64_t kMostLabels = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostSamples = std::numeric_limits<std::uint32_t>::max();

/// A pickle of numbers, lists and dictionaries, protocol 2.
class PickleWriter {
 public:
  explicit PickleWriter(const std::string& path) : file_(path) {
    op(data::kProto);
    bytes_ += '\x02';
    op(data::kEmptyDict);
    op(data::kMark);
  }
  void number(std::int64_t value) {
    const bool wide = value > std::numeric_limits<std::int32_t>::max();  // LONG1: a length first
    const int size = value < 0x100 ? 1 : value < 0x10000 ? 2 : wide ? 5 : 4;
    op(size == 1   ? data::kBinInt1
       : size == 2 ? data::kBinInt2
       : wide      ? data::kLong1
                   : data::kBinInt);
    if (wide) bytes_ += '\x05';
    for (int i = 0; i < size; ++i)
      bytes_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xFFU);
    if (bytes_.size() > kPiece) flush();
  }
  void numbers(std::span<const std::uint32_t> values) {
    op(data::kEmptyList);
    op(data::kMark);
    for (const std::uint32_t value : values) number(value);
    op(data::kAppends);
  }
  void finish() {
    op(data::kSetItems);
    op(data::kStop);
    flush();
    file_.commit();
  }

 private:
  static constexpr std::size_t kPiece = std::size_t{1} << 20U;
  void op(data::Opcode opcode) { bytes_ += static_cast<char>(opcode); }
  void flush() {
    file_.write(bytes_);
    bytes_.clear();
  }
  data::AtomicFile file_;
  std::string bytes_;
};

/// Room for the numbers that a file of this size can hold.
data::PickleLimits limits_of(std::size_t bytes) {
  data::PickleLimits limits;
  limits.nodes = std::max(limits.nodes, std::min(bytes, std::size_t{1} << 26U));
  limits.references = std::max(limits.references, std::min(2 * bytes, std::size_t{1} << 27U));
  return limits;
}

data::Pickle read_dictionary(const std::string& path) {
  std::vector<std::byte> bytes;
  data::read_whole_file(path, kLargestFile, bytes);
  data::Pickle pickle = data::read_pickle(bytes, {}, path, limits_of(bytes.size()));
  if (!pickle.root().is(data::PickleKind::kDict))
    pickle.root().fail(std::string("expected a dict, found ") + data::name_of(pickle.root().kind));
  return pickle;
}

std::int64_t number_in(const data::PickleValue& value, const char* what, std::int64_t most) {
  const std::int64_t number = value.as_int();
  if (number < 0 || number > most)
    value.fail(std::string(what) + " " + std::to_string(number) + ", expected 0 to " +
               std::to_string(most));
  return number;
}

using LabelPairs = std::vector<std::pair<std::int64_t, std::int64_t>>;

LabelPairs pairs_of_pickle(const std::string& path) {
  const data::Pickle pickle = read_dictionary(path);
  const auto& items = pickle.root().items;
  LabelPairs pairs;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2)
    pairs.emplace_back(number_in(*items[i], "old label", kMostLabels),
                       number_in(*items[i + 1], "new label", kMostLabels));
  return pairs;
}

LabelPairs pairs_of_text(const std::string& path) {
  const std::string text = data::read_text_file(path, kLargestFile);
  const auto first = text.find_first_not_of(" \t\r\n");
  const auto last = text.find_last_not_of(" \t\r\n");
  if (first == std::string::npos || text[first] != '{' || text[last] != '}' || first == last)
    throw PruneError(path + ": expected {old: new, ...}, found '" +
                     data::printable(std::string_view(text).substr(0, 24)) + "'");
  const std::string_view inside = std::string_view(text).substr(first + 1, last - first - 1);
  LabelPairs pairs;
  std::vector<std::string_view> entries, fields;
  data::split(inside, ',', entries);
  if (entries.back().empty()) entries.pop_back();  // an empty map, or a last comma
  for (const std::string_view entry : entries) {
    data::split(entry, ':', fields);
    std::int64_t old_label = -1, new_label = -1;
    if (fields.size() != 2 || !data::parse_number(fields[0], old_label) ||
        !data::parse_number(fields[1], new_label) || old_label < 0 || new_label < 0 ||
        old_label > kMostLabels)
      throw PruneError(path + ": expected 'old label: new label', found '" +
                       data::printable(entry) + "'");
    pairs.emplace_back(old_label, new_label);
  }
  return pairs;
}

/// The samples of one entry of a label dictionary.
std::span<const data::PickleValue* const> samples_of(const data::PickleValue* const& value) {
  if (value->is(data::PickleKind::kInt)) return {&value, 1};
  return value->as_sequence();
}

}  // namespace

std::span<const LabelFileKindInfo> label_file_kinds() {
  return kKinds;
}

std::optional<LabelFileKind> find_label_file_kind(std::string_view name) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const LabelFileKindInfo& info) { return name == info.name; });
  return found == kKinds.end() ? std::nullopt : std::optional(found->kind);
}

bool is_pickle_file(const std::string& path) {
  std::array<char, 2> start{};
  std::ifstream in(path, std::ios::binary);
  in.read(start.data(), start.size());
  return path.ends_with(".pkl") ||
         (in.gcount() == 2 && start[0] == static_cast<char>(data::kProto) && start[1] <= 5);
}

std::vector<std::int64_t> read_label_map(const std::string& path) {
  LabelPairs pairs = is_pickle_file(path) ? pairs_of_pickle(path) : pairs_of_text(path);
  std::sort(pairs.begin(), pairs.end());
  std::vector<std::int64_t> map;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto& [old_label, new_label] = pairs[i];
    if (i > 0 && old_label == pairs[i - 1].first)
      throw PruneError(path + ": label " + std::to_string(old_label) + " appears twice");
    if (new_label != static_cast<std::int64_t>(i))
      throw PruneError(path + ": label " + std::to_string(old_label) + " becomes " +
                       std::to_string(new_label) + ", expected " + std::to_string(i) +
                       " (new labels count from 0 in the order of the old ones)");
    // Memory is taken for every old label: only as much as the file makes likely.
    if (old_label > 1000 * (static_cast<std::int64_t>(pairs.size()) + 1000))
      throw PruneError(path + ": label " + std::to_string(old_label) + " in a map of " +
                       std::to_string(pairs.size()) + " labels");
    map.resize(static_cast<std::size_t>(old_label), -1);
    map.push_back(new_label);
  }
  return map;
}

void write_label_map_pickle(const std::string& path, std::span<const std::int64_t> label_map) {
  PickleWriter pickle(path);
  for (std::size_t old_label = 0; old_label < label_map.size(); ++old_label) {
    if (label_map[old_label] < 0) continue;
    pickle.number(static_cast<std::int64_t>(old_label));
    pickle.number(label_map[old_label]);
  }
  pickle.finish();
}

SampleLabels read_label_dict(const std::string& path) {
  const data::Pickle pickle = read_dictionary(path);
  const auto& items = pickle.root().items;
  std::size_t count = 0;
  for (std::size_t i = 1; i < items.size(); i += 2) count += samples_of(items[i]).size();
  if (count == 0) throw PruneError(path + ": contains no labels");
  SampleLabels samples;
  samples.labels.assign(count, -1);
  const auto last = std::min(kMostSamples, static_cast<std::int64_t>(count) - 1);
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const std::int64_t label = number_in(*items[i], "label", kMostLabels);
    samples.num_classes = std::max(samples.num_classes, label + 1);
    for (const data::PickleValue* item : samples_of(items[i + 1])) {
      const auto sample = static_cast<std::size_t>(number_in(*item, "sample", last));
      if (samples.labels[sample] >= 0)
        item->fail("sample " + std::to_string(sample) + " has label " +
                   std::to_string(samples.labels[sample]) + " and label " + std::to_string(label));
      samples.labels[sample] = static_cast<std::int32_t>(label);
    }
  }
  return samples;  // as many as there are places, none out of range, none twice
}

void write_label_dict(const std::string& path, std::span<const std::int32_t> labels) {
  std::vector<std::uint32_t> order(labels.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return labels[a] < labels[b]; });
  PickleWriter pickle(path);
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    const std::int32_t label = labels[order[begin]];
    while (end < order.size() && labels[order[end]] == label) ++end;
    pickle.number(label);
    pickle.numbers(std::span(order).subspan(begin, end - begin));
  }
  pickle.finish();
}

void write_labels(const std::string& path, std::span<const std::int32_t> labels) {
  if (path.ends_with(".npy"))
    return write_npy<std::int64_t>(path, std::vector<std::int64_t>(labels.begin(), labels.end()));
  data::AtomicFile file(path);
  std::string line;
  for (const std::int32_t label : labels) {
    line.clear();
    append_number(line, label);
    file.write(line += '\n');
  }
  file.commit();
}

}  // namespace diffprob::prune
