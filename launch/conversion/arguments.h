#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/records/pack_records.h"
#include "data/sets/dataset.h"
#include "launch/config/command_line.h"
#include "prune/foreign/score_file_kinds.h"
#include "prune/foreign/score_import.h"
#include "prune/lists/list_file.h"
#include "prune/tables/dynamics.h"

namespace diffprob::launch {

/// What `convert` and `data pack --subset` are told about files of others.
struct ConversionArguments {
  std::string kind;    ///< of the input; empty: by content
  std::string to;      ///< kind of the output; empty: by file name
  std::string data;    ///< data set, or empty
  std::string root;    ///< folder of the images when the set is a list, or empty
  std::string labels;  ///< list of labels, or empty
  std::string subset;  ///< list, or empty
  prune::ListMeaning list = prune::ListMeaning::kUnsaid;
  prune::IndexBase base = prune::IndexBase::kIndex;     ///< of the input
  prune::IndexBase to_base = prune::IndexBase::kIndex;  ///< of the output
  prune::ScoreValue value = prune::ScoreValue::kProbability;
  prune::EpochChoice epoch;
  std::int64_t samples = 0;
  std::int64_t window = prune::DynamicsAccumulator::kWindow;  ///< of the uncertainty
  data::PackOptions pack;                                     ///< of `data pack`
  bool dense_labels = false;                                  ///< of `data pack`
  bool writes_records = false;                                ///< of `data apply-proposals`
};
/// From --key=value of the command line. `known`: the keys that this command has. Throws
/// ConfigError with every problem at once.
[[nodiscard]] ConversionArguments parse_conversion(const CommandLine& line,
                                                   const std::vector<std::string>& known);

/// A data set as the readers and writers of lists want it: N, and names of image files where the
/// kind needs them. Owns the names.
class ListContext {
 public:
  ListContext(const ConversionArguments& arguments, std::shared_ptr<const data::Dataset> dataset);
  /// To read a list of this kind.
  [[nodiscard]] prune::ListOptions input(prune::ListKind kind);
  /// To write one.
  [[nodiscard]] prune::ListOptions output(prune::ListKind kind);

 private:
  [[nodiscard]] prune::ListOptions options(prune::ListKind kind, prune::IndexBase base);

  const ConversionArguments& arguments_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::vector<std::string> names_;
};

/// Runs work(); to what a list needs and does not have, adds the options of `convert` that give it.
void with_option_hints(const std::function<void()>& work);

/// Reads a list with all that the user said, and joins it with the data set (when there is one):
/// label map and fingerprint. Refuses index sets of another data set.
[[nodiscard]] prune::IndexSet read_foreign_list(
    const std::string& path, const ConversionArguments& arguments,
    const std::shared_ptr<const data::Dataset>& dataset);

}  // namespace diffprob::launch
