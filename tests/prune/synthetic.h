#pragma once

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <openssl/evp.h>

#include "prune/tables/score_table.h"

namespace diffprob::prune::tests {

/// Raw draws of mt19937_64 alone: the same numbers with every standard library.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : engine_(seed) {}
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(bound));
  }
  double uniform() { return static_cast<double>(engine_() >> 11U) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

/// Sane scores: every fifth identity saturated (p exactly 1 in float32, nll 0 or tiny), some with
/// few distinct values, 5 % mispredicted. Sizes 0 to 2 * mean; labels shuffled over the indices.
inline ScoreTable synthetic_table(std::uint64_t seed, std::int64_t identities,
                                  std::int64_t mean_size) {
  Draws draws(seed);
  ScoreTable table;
  table.source = {
      "data set " + std::to_string(seed), "model", 0, 64, "train:\n  epochs: 3\n", identities};
  for (std::int64_t c = 0; c < identities; ++c) {
    for (std::int64_t n = draws.below(2 * mean_size + 1); n > 0; --n)
      table.labels.push_back(static_cast<std::int32_t>(c));
  }
  for (std::size_t i = table.labels.size(); i > 1; --i)
    std::swap(table.labels[i - 1],
              table.labels[static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(i)))]);
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    const std::int32_t label = table.labels[i];
    double nll = -std::log1p(-std::pow(draws.uniform(), 3) * 0.999);
    if (label % 5 == 1) nll = draws.below(2) == 0 ? 0 : nll * 1e-9;
    if (label % 5 == 2) nll = 0.01 * static_cast<double>(draws.below(4));
    ScoreRecord record;
    record.index = static_cast<std::uint32_t>(i);
    record.nll = static_cast<float>(nll);
    record.probability = static_cast<float>(std::exp(-static_cast<double>(record.nll)));
    record.top1 = draws.below(20) == 0 ? static_cast<std::int32_t>(draws.below(identities)) : label;
    record.top1_log_prob = -0.25F;
    record.second_log_prob = -1.5F;
    record.sum_p2 = 0.5F;
    record.entropy = static_cast<float>(draws.uniform());
    record.cosine = 0.75F;
    record.norm = 20;
    table.records.push_back(record);
  }
  return table;
}

/// An empty folder of this process, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "diffprob_prune_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_),
                                                  std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string sha256(const void* data, std::size_t bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(data, bytes, digest, &length, EVP_sha256(), nullptr);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4U];
    text += "0123456789abcdef"[digest[i] & 15U];
  }
  return text;
}

/// Message of the exception of type Error that `work` throws, or "" when it throws none.
template <class Error, class Work>
std::string message_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace diffprob::prune::tests
