#include "launch/score/head_labels.h"

#include <spdlog/fmt/fmt.h>

#include "data/files/text_lines.h"
#include "launch/config/config_error.h"

namespace diffprob::launch {

std::string check_head_labels(const std::string& checkpoint, const CheckpointInfo& info,
                              const data::Dataset& dataset) {
  const std::int64_t classes = dataset.num_classes();
  if (info.num_classes != classes) {
    throw ConfigError({fmt::format(
        "model.checkpoint: the head of {} was trained on {} identities, but this data set has {}, "
        "so its rows are centres of other people. Score the set that it was trained on, with the "
        "same data.train, data.kept and data.labels{}",
        checkpoint, info.num_classes, classes,
        classes < info.num_classes ? " (a part whose identities are renumbered is another set: "
                                     "score the whole set, and prune or select from that table)"
                                   : "")});
  }
  const std::string trained_on = data::parse_key_values(info.settings)["dataset"];
  if (trained_on.empty() || trained_on == dataset.fingerprint()) return {};
  return fmt::format(
      "model.checkpoint: the data set is another one than that of {} (fingerprints {} and {}), and "
      "both have {} identities: class centres are used by number, which is right only if identity "
      "k is the same person in both",
      checkpoint, dataset.fingerprint().substr(0, 12), trained_on.substr(0, 12), classes);
}

void check_head_classes(const model::HeadFiles& head, std::int64_t classes) {
  const std::int64_t found = head.num_classes();
  if (found == classes) return;
  throw ConfigError({fmt::format(
      "model.head: {} {} {} class centres, but the data set has {} identities, and row k must be "
      "the centre of identity k. {}",
      head.text(), head.paths().size() == 1 ? "has" : "have", found, classes,
      found > classes
          ? "Give the set that the network was trained on (not a part of it: data.kept, and with "
            "the same labels: data.labels). If the head was padded with rows that belong to "
            "nobody, cut them off"
          : "Are files of further ranks missing? If not, the network was trained on a part of this "
            "set (data.kept), or on labels that were renumbered (data.labels=dense)")});
}

}  // namespace diffprob::launch
