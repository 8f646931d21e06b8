// Probabilities of others over epochs, as training dynamics: against the definition of DynUnc
// written out.
#include "prune/foreign/dynamics_import.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

/// Rows of probabilities, some exactly 0, as savetxt writes them.
std::string text_of(const std::vector<std::vector<float>>& epochs) {
  std::string text;
  char number[40];
  for (const auto& epoch : epochs) {
    for (const float p : epoch)
      text += (std::snprintf(number, sizeof number, "%.18e ", static_cast<double>(p)), number);
    text += "\n";
  }
  return text;
}

/// The mean over the windows that end before the last epoch of 10 * standard deviation (n - 1);
/// zeros leave the window as it was.
double slow_uncertainty(const std::vector<std::vector<float>>& epochs, std::size_t sample,
                        std::size_t window) {
  std::vector<double> recent(window, 0.0);
  double sum = 0;
  double count = 0;
  for (std::size_t e = 0; e < epochs.size(); ++e) {
    if (epochs[e][sample] != 0) {
      recent.erase(recent.begin());
      recent.push_back(static_cast<double>(epochs[e][sample]));
    }
    if (e + 1 < window || e + 1 == epochs.size()) continue;
    double mean = 0;
    for (const double p : recent) mean += p / static_cast<double>(window);
    double squares = 0;
    for (const double p : recent) squares += (p - mean) * (p - mean);
    sum += 10 * std::sqrt(squares / static_cast<double>(window - 1));
    ++count;
  }
  return sum / count;
}

TEST(DynamicsImport, GivesTheUncertaintyOfItsDefinitionAndComesBackFromHdf5) {
  Draws draws(8);
  constexpr std::size_t kSamples = 40;
  std::vector<std::vector<float>> epochs(14, std::vector<float>(kSamples));
  for (auto& epoch : epochs) {
    for (float& p : epoch) p = draws.below(9) == 0 ? 0.0F : static_cast<float>(draws.uniform());
  }
  SampleLabels samples;
  for (std::size_t i = 0; i < kSamples; ++i)
    samples.labels.push_back(static_cast<std::int32_t>(i / 8));
  samples.num_classes = 5;
  const TemporaryFolder folder;
  write_bytes(folder.file("prob.txt"), text_of(epochs));

  const DynamicsTable table =
      import_dynamics(folder.file("prob.txt"), ScoreValue::kProbability, samples, 4);

  EXPECT_EQ(table.epochs, 14);
  for (std::size_t i = 0; i < kSamples; ++i) {
    double mean = 0;
    for (const auto& epoch : epochs) mean += static_cast<double>(epoch[i]) / 14;
    EXPECT_NEAR(table.rows.uncertainty[i], slow_uncertainty(epochs, i, 4), 1e-12) << i;
    EXPECT_NEAR(table.rows.mean_probability[i], mean, 1e-14) << i;
    EXPECT_EQ(table.rows.last_probability[i], epochs.back()[i]) << i;
  }
  write_dynamics(folder.file("d.h5"), table);
  const DynamicsTable back = read_dynamics(folder.file("d.h5"));
  EXPECT_TRUE(back.probabilities_alone);
  EXPECT_TRUE(back.rows.aum.empty());
  EXPECT_EQ(back.rows.uncertainty, table.rows.uncertainty);
  EXPECT_EQ(back.rows.last_probability, table.rows.last_probability);
  EXPECT_EQ(back.labels, table.labels);
}

TEST(DynamicsImport, RefusesWhatIsNoTableOfProbabilities) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& text, const SampleLabels& samples) {
    write_bytes(folder.file("p.txt"), text);
    return message_of<data::DataError>([&] {
      static_cast<void>(import_dynamics(folder.file("p.txt"), ScoreValue::kProbability, samples));
    });
  };
  EXPECT_THAT(refusal("0.5 0.5\n0.5 1.5\n", {{0, 0}, 1, ""}), HasSubstr("row 1: sample 1 is 1.5"));
  EXPECT_THAT(refusal("0.5 0.5\n", {{0, 0, 0}, 1, ""}),
              HasSubstr("row 0: 2 scores, but there are 3 labels"));
  EXPECT_THAT(refusal("0.5 0.5\n", {}), HasSubstr("scores without labels"));
}

}  // namespace
}  // namespace diffprob::prune::tests
