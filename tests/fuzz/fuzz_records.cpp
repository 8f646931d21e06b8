// train.rec with or without train.idx and property, as a training opens them: [choice][idx behind
// its length][property behind its length][rec].
#include <algorithm>
#include <vector>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "data/open_dataset.h"
#include "data/sets/dataset.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static data::ImageDecoder decoder;
  fuzz::Input input(data, size);
  const auto& folder = fuzz::input_folder();
  const unsigned files = input.choice(4);
  const std::string index = input.piece();
  const std::string property = input.piece();
  folder.put("train.rec", input.rest());
  folder.remove("train.idx");
  folder.remove("property");
  if ((files & 1U) != 0) folder.put("train.idx", index);
  if ((files & 2U) != 0) folder.put("property", property);

  fuzz::expect_reads_or<data::DataError>("", [&] {
    const auto set = data::open_dataset(folder.path());
    std::vector<std::byte> bytes;
    std::vector<std::uint8_t> pixels(std::size_t{112} * 112 * 3);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(set->size(), 4); ++i) {
      if (set->label(i) < 0 || set->label(i) >= set->num_classes()) std::abort();
      set->read(i, bytes);
      decoder.decode(bytes, 112, pixels.data());
    }
  });
  return 0;
}
