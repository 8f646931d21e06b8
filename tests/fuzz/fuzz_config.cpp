// A configuration in YAML; what is read must come back from its own dump.
#include "launch/config/config.h"
#include "launch/config/config_error.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::Input(data, size).rest());
  fuzz::expect_reads_or<launch::ConfigError>("", [&] {
    const std::string dump =
        launch::dump_config(launch::parse_config("job.yaml", text, {}), launch::DumpStyle::kPlain);
    if (launch::dump_config(launch::parse_config("dump.yaml", dump, {}),
                            launch::DumpStyle::kPlain) != dump)
      std::abort();
  });
  return 0;
}
