// Kept and dropped lists of all kinds, score files and label files of others: [choice of
// reader][choice of kind][choice of meaning][content].
#include <vector>

#include "prune/error.h"
#include "prune/foreign/dynamics_import.h"
#include "prune/foreign/label_files.h"
#include "prune/foreign/score_csv.h"
#include "prune/foreign/score_import.h"
#include "prune/lists/list_file.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

namespace {

constexpr std::int64_t kSamples = 8;

void read_any_list(const std::string& path, unsigned kind, unsigned meaning) {
  static const std::vector<std::string> names{"a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg",
                                              "b/2.jpg", "c/1.jpg", "c/2.jpg", "c/3.jpg"};
  prune::ListOptions options;
  options.num_samples = kSamples;
  options.names = &names;
  const auto kinds = prune::list_kinds();
  if (kind < kinds.size()) options.kind = kinds[kind].kind;
  options.meaning = static_cast<prune::ListMeaning>(meaning);
  const prune::IndexSet set = prune::read_list(path, options);
  for (const auto index : set.kept) {
    if (index < 0 || index >= kSamples) std::abort();
  }
}

prune::SampleLabels labels() {
  return {{0, 0, 0, 1, 1, 2, 2, 2}, 3, ""};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned reader = input.choice(7);
  const unsigned kind = input.choice(16);
  const unsigned meaning = input.choice(3);
  const std::string path = fuzz::input_folder().put("list", input.rest());
  fuzz::expect_reads_or<data::DataError>("list", [&] {
    if (reader == 0) read_any_list(path, kind, meaning);
    if (reader == 1) (void)prune::read_labels(path);
    if (reader == 2)
      (void)prune::import_scores(
          path, meaning == 0 ? prune::ScoreValue::kNll : prune::ScoreValue::kProbability,
          {static_cast<prune::EpochChoice::Rule>(kind % 4), 1}, labels());
    if (reader == 3)
      (void)prune::read_score_csv(path, meaning == 0 ? prune::SampleLabels{} : labels());
    if (reader == 4)
      (void)prune::import_dynamics(path, prune::ScoreValue::kProbability, labels(), 2);
    if (reader == 5) (void)prune::read_label_map(path);
    if (reader == 6) (void)prune::read_label_dict(path);
  });
  return 0;
}
