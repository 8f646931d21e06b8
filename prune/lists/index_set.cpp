#include "prune/lists/index_set.h"

#include <filesystem>
#include <utility>

#include "data/dense_labels.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/lists/index_set_writer.h"
#include "prune/lists/kept_index_text.h"
#include "prune/lists/list_file.h"

namespace diffprob::prune {
namespace {

void check_kept(const std::string& where, const IndexSet& set) {
  std::int64_t previous = -1;
  for (std::size_t i = 0; i < set.kept.size(); ++i) {
    if (set.kept[i] <= previous || set.kept[i] >= set.num_samples) {
      throw PruneError(where + ": kept[" + std::to_string(i) + "] is " +
                       std::to_string(set.kept[i]) + ", expected " + std::to_string(previous + 1) +
                       " to " + std::to_string(set.num_samples - 1) + " (increasing)");
    }
    previous = set.kept[i];
  }
}

void check_label_map(const std::string& where, const IndexSet& set) {
  std::int64_t next = 0;
  for (std::size_t c = 0; c < set.label_map.size(); ++c) {
    if (set.label_map[c] == -1) continue;
    if (set.label_map[c] != next) {
      throw PruneError(where + ": label_map[" + std::to_string(c) + "] is " +
                       std::to_string(set.label_map[c]) + ", expected -1 or " +
                       std::to_string(next));
    }
    ++next;
  }
}

/// Reasons, when there are any, say the same as the kept list.
void check_reasons(const std::string& where, const IndexSet& set) {
  if (set.reasons.empty()) return;
  if (static_cast<std::int64_t>(set.reasons.size()) != set.num_samples) {
    throw PruneError(where + ": " + std::to_string(set.reasons.size()) + " reasons for " +
                     std::to_string(set.num_samples) + " samples");
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < set.reasons.size(); ++i) {
    if (set.reasons[i] > kLastReason) {
      throw PruneError(where + ": sample " + std::to_string(i) + " has the unknown reason code " +
                       std::to_string(static_cast<int>(set.reasons[i])));
    }
    const bool listed = next < set.kept.size() && set.kept[next] == static_cast<std::int64_t>(i);
    if (listed != is_kept(set.reasons[i])) {
      throw PruneError(where + ": sample " + std::to_string(i) + " has the reason " +
                       reason_name(set.reasons[i]) + ", but is " + (listed ? "" : "not ") +
                       "in the kept list");
    }
    if (listed) ++next;
  }
}

void check_whole(const std::string& where, const IndexSet& set) {
  if (!set.whole) return;
  const IndexSet whole = in_whole_numbers(set);
  if (whole.kept.size() != set.kept.size())
    throw PruneError(where + ": keeps " + std::to_string(set.kept.size()) + " samples, but " +
                     std::to_string(whole.kept.size()) + " in the numbers of the whole set");
  check_kept(where + " (whole set)", whole);
  check_label_map(where + " (whole set)", whole);
}

void check_set(const std::string& where, const IndexSet& set) {
  if (set.num_samples < 0)
    throw PruneError(where + ": num_samples is " + std::to_string(set.num_samples));
  check_kept(where, set);
  check_label_map(where, set);
  check_reasons(where, set);
  check_whole(where, set);
}

void write_hdf5(const std::string& path, const IndexSet& set) {
  check_set(path, set);
  if (!set.reasons.empty() || set.num_samples == 0) {
    IndexSetWriter writer(path, set, static_cast<std::int64_t>(set.kept.size()));
    writer.append(set.reasons);
    writer.finish(set.whole ? &*set.whole : nullptr);
    return;
  }
  HdfWriter file(path);
  write_index_set_head(file, set);
  file.dataset<std::int64_t>("kept", set.kept);
  file.dataset<std::int64_t>("label_map", set.label_map);
  file.dataset<std::uint8_t>("reason", {});
  if (set.whole) write_kept_of_whole(file, *set.whole);
  file.commit();
}

std::optional<KeptOfWhole> read_kept_of_whole(const HdfReader& file) {
  if (!file.has_attribute(kWholeFingerprint)) return std::nullopt;
  return KeptOfWhole{file.text(kWholeFingerprint), file.integer(kWholeSamples),
                     file.dataset<std::int64_t>(kWholeKept),
                     file.dataset<std::int64_t>(kWholeLabelMap)};
}

IndexSet read_hdf5(const std::string& path, std::int64_t num_samples) {
  const HdfReader file(path);
  file.check_format(kIndexSetFormat, kIndexSetVersion);
  IndexSet set;
  set.dataset_fingerprint = file.text("dataset_fingerprint");
  set.num_samples = file.integer("num_samples");
  set.method = file.text("method");
  set.threshold = file.number("threshold");
  set.kept = file.dataset<std::int64_t>("kept");
  set.label_map = file.dataset<std::int64_t>("label_map");
  for (const std::uint8_t code : file.dataset<std::uint8_t>("reason"))
    set.reasons.push_back(static_cast<Reason>(code));
  set.whole = read_kept_of_whole(file);
  check_set(path, set);
  if (num_samples == set.num_samples) return set;
  if (set.whole && (num_samples <= 0 || num_samples == set.whole->num_samples))
    return in_whole_numbers(set);
  if (num_samples <= 0) return set;
  throw PruneError(path + ": was made from a data set of " + std::to_string(set.num_samples) +
                   " samples" +
                   (set.whole ? " (a part of one of " + std::to_string(set.whole->num_samples) + ")"
                              : std::string()) +
                   ", expected " + std::to_string(num_samples));
}

bool named_hdf5(const std::string& path) {
  return std::filesystem::path(path).extension() == ".h5";
}

}  // namespace

std::vector<std::int64_t> label_map_of_whole(const WholeNumbers& whole,
                                             const std::vector<std::int64_t>& label_map) {
  std::vector<std::int64_t> map = whole.label_map;
  for (std::int64_t& label : map) {
    if (label >= 0) label = label_map.at(static_cast<std::size_t>(label));
  }
  return map;
}

IndexSet in_whole_numbers(const IndexSet& set) {
  if (!set.whole) throw PruneError("index set: it is not one of a part of a data set");
  IndexSet whole;
  whole.dataset_fingerprint = set.whole->fingerprint;
  whole.num_samples = set.whole->num_samples;
  whole.kept = set.whole->kept;
  whole.label_map = set.whole->label_map;
  whole.method = set.method;
  whole.threshold = set.threshold;
  return whole;
}

void write_index_set(const std::string& path, const IndexSet& set) {
  if (named_hdf5(path)) {
    write_hdf5(path, set);
  } else {
    write_kept_index_text(path, set);
  }
}

IndexSet read_index_set(const std::string& path, std::int64_t num_samples) {
  const ListKind kind = detect_list_kind(path);
  if (kind == ListKind::kNpyMask) {
    throw ListNeedsMore(ListNeedsMore::What::kMeaning,
                        path +
                            ": a mask does not say whether True means kept or dropped "
                            "(cleanlab's True is a label issue)");
  }
  // A list without a name was given as the kept one.
  const bool says = info_of(kind).meaning != ListMeaning::kUnsaid;
  return read_list(path, {kind, says ? ListMeaning::kUnsaid : ListMeaning::kKept, num_samples,
                          IndexBase::kIndex, nullptr});
}

void write_index_set_hdf5(const std::string& path, const IndexSet& set) {
  write_hdf5(path, set);
}

IndexSet read_index_set_hdf5(const std::string& path, std::int64_t num_samples) {
  return read_hdf5(path, num_samples);
}

}  // namespace diffprob::prune
