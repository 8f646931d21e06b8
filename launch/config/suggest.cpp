#include "launch/config/suggest.h"

#include <algorithm>
#include <numeric>

namespace diffprob::launch {
namespace {

/// Edits between two words (insert, delete, replace, swap of neighbours); `limit` when there are as
/// many or more.
std::size_t edit_distance(const std::string& a, const std::string& b, std::size_t limit) {
  std::vector<std::size_t> second_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0u);
  std::size_t least_in_last = 0;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], second_last[j - 2] + 1);
    }
    // Rows build on the two before them and never fall below both.
    const std::size_t least = *std::ranges::min_element(row);
    if (std::min(least, least_in_last) >= limit) return limit;
    least_in_last = least;
    second_last.swap(last);
    last.swap(row);
  }
  return std::min(last[b.size()], limit);
}

struct ForeignName {
  const char* name;
  const char* key;
};

/// Last parts of keys, as other trainers name them.
constexpr ForeignName kForeignNames[] = {
    {"learning_rate", "train.lr"},
    {"base_lr", "train.lr"},
    {"max_epoch", "train.epochs"},
    {"max_epochs", "train.epochs"},
    {"num_epoch", "train.epochs"},
    {"num_epochs", "train.epochs"},
    {"total_batch_size", "train.batch_size"},
    {"global_batch_size", "train.batch_size"},
    {"bs", "train.batch_size"},
    {"lr_milestones", "train.milestones"},
    {"decay_epoch", "train.milestones"},
    {"warmup_epoch", "train.warmup_epochs"},
    {"lr_scheduler", "train.schedule"},
    {"scheduler", "train.schedule"},
    {"wd", "train.weight_decay"},
    {"optim", "train.optimizer"},
    {"fp16", "train.precision"},
    {"amp", "train.precision"},
    {"mixed_precision", "train.precision"},
    {"gradient_acc", "train.accumulate"},
    {"accumulate_grad_batches", "train.accumulate"},
    {"frequent", "train.log_every"},
    {"rec", "data.train"},
    {"data_dir", "data.train"},
    {"data_root", "data.train"},
    {"dataset", "data.train"},
    {"num_workers", "data.decode_threads"},
    {"network", "model.backbone"},
    {"arch", "model.backbone"},
    {"embedding_size", "model.embedding_dim"},
    {"interclass_filtering_threshold", "model.filter_threshold"},
    {"head", "model.loss"},
    {"margin_list", "model.m1"},
    {"val_targets", "eval.sets"},
    {"output_dir", "output"},
    {"save_dir", "output"},
    {"ckpt_path", "model.checkpoint"},
    {"pretrained", "train.init"},
    {"resume_from", "output"},
};

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

std::string key_suggestion(const std::string& key, const std::vector<std::string>& known) {
  const std::string last = lower_case(key.substr(key.rfind('.') + 1));
  for (const auto& [name, own] : kForeignNames) {
    if (last == name && std::ranges::find(known, own) != known.end())
      return std::string(", did you mean ") + own + "?";
  }
  return suggestion(key, known);
}

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t nearest = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : known) {
    // "batch_size" for "train.batch_size" is as good as a slip.
    const bool tail = candidate.size() > word.size() && candidate.ends_with("." + word);
    // The lengths alone are this far apart: a long junk key costs nothing.
    const std::size_t lengths =
        std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
    if (!tail && lengths >= nearest) continue;
    const std::size_t distance = tail ? 1 : edit_distance(word, candidate, nearest);
    if (distance < nearest) {
      nearest = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : ", did you mean " + *best + "?";
}

}  // namespace diffprob::launch
