// The pickle of a .bin verification set.
#include "data/error.h"
#include "data/sets/verification_set.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::input_folder().put("pairs.bin", fuzz::Input(data, size).rest());
  fuzz::expect_reads_or<data::DataError>("pairs.bin", [&] {
    const auto set = data::read_verification_bin(path);
    if (set.images.size() != 2 * set.same.size()) std::abort();
  });
  return 0;
}
