// Weights of torch.save: a zip with a pickle and storages.
#include "data/error.h"
#include "model/weights/weights.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::input_folder().put("weights.pth", fuzz::Input(data, size).rest());
  fuzz::expect_reads_or<data::DataError>("weights.pth", [&] { (void)model::read_pth(path); });
  return 0;
}
