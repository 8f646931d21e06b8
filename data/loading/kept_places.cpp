#include "data/loading/kept_places.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "data/error.h"

namespace diffprob::data {
namespace {

constexpr std::size_t kBlock = 8;  // words: one cache line

}  // namespace

KeptPlaces::KeptPlaces(std::vector<std::uint64_t> words, std::int64_t places)
    : places_(places), words_(std::move(words)) {
  if (places < 0 || static_cast<std::int64_t>(words_.size()) != (places + 63) / 64)
    throw DataError("kept places: " + std::to_string(words_.size()) + " words for " +
                    std::to_string(places) + " places");
  before_.push_back(0);
  for (std::size_t w = 0; w < words_.size(); w += kBlock) {
    std::int64_t count = before_.back();
    for (std::size_t i = w; i < std::min(w + kBlock, words_.size()); ++i)
      count += std::popcount(words_[i]);
    before_.push_back(count);
  }
}

std::int64_t KeptPlaces::place(std::int64_t n) const {
  const auto block = std::upper_bound(before_.begin(), before_.end(), n) - before_.begin() - 1;
  std::int64_t left = n - before_[static_cast<std::size_t>(block)];
  auto word = static_cast<std::size_t>(block) * kBlock;
  for (; left >= std::popcount(words_[word]); ++word) left -= std::popcount(words_[word]);
  std::uint64_t bits = words_[word];
  for (; left > 0; --left) bits &= bits - 1;  // clears the lowest bit that is set
  return static_cast<std::int64_t>(word * 64) + std::countr_zero(bits);
}

}  // namespace diffprob::data
