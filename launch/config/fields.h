#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "launch/config/config.h"

namespace diffprob::launch {

/// A value of an enumeration of some module, read and written as the word of the configuration.
struct EnumTarget {
  std::function<std::string()> word;
  std::function<void(const std::string&)> set;  ///< one of the field's choices
};
/// A list of values of an enumeration, read and written as the words of the configuration.
struct EnumListTarget {
  std::function<std::vector<std::string>()> words;
  std::function<void(const std::vector<std::string>&)> set;  ///< each is one of the choices
};

/// One key of the configuration: where its value lives, what it may be, and what it means.
struct Field {
  using Target =
      std::variant<std::string*, std::int64_t*, int*, double*, bool*, std::vector<std::string>*,
                   std::vector<std::int64_t>*, std::vector<double>*, EnumTarget, EnumListTarget>;
  std::string key;  ///< "train.batch_size"
  Target target;
  std::string help;
  double low = 0;  ///< numbers, also of lists: inclusive range
  double high = 0;
  std::vector<std::string> choices;  ///< strings, also of lists: empty = anything
  bool is_path = false;              ///< strings, also of lists: expanded by expand_path()
};

/// All keys, in the order in which --print-defaults shows them. Targets point into `config`.
[[nodiscard]] std::vector<Field> config_fields(Config& config);

/// Returns the value that a field has now, as YAML.
[[nodiscard]] std::string value_text(const Field& field);
/// Describes the values that a field may have: "a number in [0, 1]", "one of a b", "a list, each
/// item ...".
[[nodiscard]] std::string range_text(const Field& field);

}  // namespace diffprob::launch
