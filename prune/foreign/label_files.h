#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "prune/foreign/score_import.h"

namespace diffprob::prune {

/// Forms of labels and of their renumbering (prune/tables/SCORES_FORMAT.md).
enum class LabelFileKind { kLabelMap, kLabelMapPickle, kLabelDict, kLabels };

struct LabelFileKindInfo {
  LabelFileKind kind;
  const char* name;  ///< as in --to=NAME
  const char* what;  ///< one line of help
};
/// In the order of the enumeration.
[[nodiscard]] std::span<const LabelFileKindInfo> label_file_kinds();
[[nodiscard]] std::optional<LabelFileKind> find_label_file_kind(std::string_view name);

/// Returns true if the file begins as pickles of protocol 2 and later do, or is called *.pkl.
[[nodiscard]] bool is_pickle_file(const std::string& path);

/// The label map of a pickle {old: new} or of such a text: [largest old label + 1] -> new label, or
/// -1. Throws PruneError unless the new labels are 0, 1, 2 ... in the order of the old ones.
[[nodiscard]] std::vector<std::int64_t> read_label_map(const std::string& path);
/// label_map.pkl of the paper's label_mapping.py: {old: new} of the labels that are not -1.
/// Protocol 2, atomic.
void write_label_map_pickle(const std::string& path, std::span<const std::int64_t> label_map);

/// label_dict.pkl of the paper's generate_label_dict.py, {label: [samples]}, as labels of the
/// samples. A number in place of a list is one sample. Throws PruneError unless every sample from 0
/// to the largest has one label.
[[nodiscard]] SampleLabels read_label_dict(const std::string& path);
/// The same, with lists alone and the labels in order. Labels without samples are left out.
void write_label_dict(const std::string& path, std::span<const std::int32_t> labels);

/// One label a sample: .npy of int64 for *.npy, else a line each. read_labels reads both.
void write_labels(const std::string& path, std::span<const std::int32_t> labels);

}  // namespace diffprob::prune
