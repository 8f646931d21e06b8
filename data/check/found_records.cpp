#include "data/check/found_records.h"

#include "data/files/sha256.h"

namespace diffprob::data {

std::string FoundRecords::fingerprint() const {
  Sha256 digest;
  digest.update("records found by a check");
  for (std::int64_t i = 0; i < size(); ++i) {
    const auto entry = table_[i];
    const std::int64_t located[] = {entry.key, entry.offset, entry.label};
    digest.update(std::as_bytes(std::span(located)));
  }
  return digest.hex();
}

}  // namespace diffprob::data
