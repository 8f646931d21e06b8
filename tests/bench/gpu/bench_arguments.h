#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launch/config/config.h"

namespace diffprob::bench {

/// What a benchmark takes on its command line, --name=value: its own numbers and texts; all else is
/// a key of the configuration.
struct Arguments {
  std::map<std::string, std::int64_t*> numbers;
  std::map<std::string, std::string*> texts;
  std::vector<launch::Override>& config;

  /// Throws c10::Error on an argument of another form.
  void parse(int argc, char** argv) const {
    for (int i = 1; i < argc; ++i) {
      const std::string argument = argv[i];
      const auto equals = argument.find('=');
      TORCH_CHECK(argument.starts_with("--") && equals != std::string::npos, argv[0],
                  ": expected --name=value, got ", argument);
      const std::string name = argument.substr(2, equals - 2);
      const std::string value = argument.substr(equals + 1);
      if (const auto number = numbers.find(name); number != numbers.end()) {
        std::size_t read = 0;
        try {
          *number->second = std::stoll(value, &read);
        } catch (const std::exception&) {
          read = 0;
        }
        TORCH_CHECK(read > 0 && read == value.size(), argv[0], ": --", name,
                    ": expected a number, got ", value);
      } else if (const auto text = texts.find(name); text != texts.end()) {
        *text->second = value;
      } else {
        config.push_back({name, value});
      }
    }
  }
};

}  // namespace diffprob::bench
