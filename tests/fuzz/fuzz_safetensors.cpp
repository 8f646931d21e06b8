// Safetensors: a header of JSON and the bytes of tensors. The length of the header comes from the
// input's size or from the input itself.
#include "data/error.h"
#include "model/weights/little_endian.h"
#include "model/weights/weights.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const bool is_whole = input.choice(2) == 0;
  std::string content(input.rest());
  if (!is_whole) {                                      // up to the last '}'
    const std::size_t header = content.rfind('}') + 1;  // 0 when there is none
    std::string length;
    model::append_little_endian(length, std::uint64_t{header});
    content = length + content;
  }
  const std::string path = fuzz::input_folder().put("weights.safetensors", content);
  fuzz::expect_reads_or<data::DataError>("weights.safetensors",
                                         [&] { (void)model::read_weight_entries(path); });
  return 0;
}
