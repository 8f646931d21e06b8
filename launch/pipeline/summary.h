#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace diffprob::launch {

/// A trained network in the final table. Networks with the same `name` (several seeds) make one row
/// with mean and deviation.
struct SummaryRow {
  std::string name;
  std::int64_t images = 0;
  std::int64_t identities = 0;
  double train_seconds = 0;  ///< 0: not trained
  std::vector<std::string> sets;
  std::vector<double> accuracy;  ///< a set, 0..1
  std::vector<double> xnorm{};   ///< a set; NaN where an earlier program verified
  nlohmann::json ijb{};          ///< list of what ijb_to_json() gives; empty: not measured
};

/// Text table: one line a name; accuracy in %, "mean +- deviation (n)" where there are several
/// seeds. Two more tables have the mean length of embeddings and the rates on IJB, where they are
/// known.
[[nodiscard]] std::string summary_table(const std::vector<SummaryRow>& rows);
/// What the table says, in a sentence or two: how far the networks that were trained on a kept part
/// lie from that of all images and from the random one, in points of accuracy, as the mean of all
/// sets. Empty when nothing can be compared.
[[nodiscard]] std::string summary_sentence(const std::vector<SummaryRow>& rows);
[[nodiscard]] nlohmann::json summary_json(const std::vector<SummaryRow>& rows);

}  // namespace diffprob::launch
