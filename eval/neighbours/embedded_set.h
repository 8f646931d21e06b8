#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace diffprob::eval {

/// Embeddings of a set of images with the identity of each, which are read a range of rows at a
/// time. The same on every rank.
struct EmbeddedSet {
  std::string name;             ///< for messages
  std::int64_t rows = 0;        ///< fewer than 2^32
  std::int64_t dim = 0;         ///< numbers per row
  std::int64_t identities = 0;  ///< fewer than 2^31
  /// Identity of a row, from 0 to identities - 1. Images whose people are not known have one
  /// identity each.
  std::function<std::int64_t(std::int64_t row)> identity;
  /// Puts rows [first, first + values.size() / dim) into `values`, finite but of any length. Called
  /// from one thread at a time. Throws data::DataError.
  std::function<void(std::int64_t first, std::span<float> values)> read;
};

}  // namespace diffprob::eval
