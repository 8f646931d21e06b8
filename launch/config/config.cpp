#include "launch/config/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <sstream>

#include "launch/config/fields.h"
#include "launch/config/suggest.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

/// Says what replaces a key that only earlier versions had; returns "" for any other key.
std::string replacement_of(const std::string& key) {
  if (key == "score.batch_size")
    return "scores do not depend on the batch (score.batch_per_rank sets how many images each rank "
           "processes at a time)";
  return {};
}

/// Shortest text that reads back to the same value.
std::string format_number(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(std::begin(text), std::end(text), value);
  return {text, end};
}

template <class T>
std::optional<T> parse_number(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string in_range(const Field& field) {
  return "in [" + format_number(field.low) + ", " + format_number(field.high) + "]";
}

/// Type of the value that the target of a field leads to; a value of an enumeration is a word.
template <class Target>
struct ValueOf {
  using Type = std::remove_pointer_t<Target>;
};
template <>
struct ValueOf<EnumTarget> {
  using Type = std::string;
};
template <>
struct ValueOf<EnumListTarget> {
  using Type = std::vector<std::string>;
};
template <class Target>
using Value = typename ValueOf<std::remove_cvref_t<Target>>::Type;

template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

/// Describes the values that a field, or an item of a list, may have.
template <class T>
std::string expected_text(const Field& field) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, int>)
    return "a whole number " + in_range(field);
  if constexpr (std::is_same_v<T, double>) return "a number " + in_range(field);
  if (field.choices.empty()) return "text";
  std::string text = "one of";
  for (const auto& choice : field.choices) text += " " + choice;
  return text;
}

/// What a setter expected, when the text does not fit; nothing when it has set the value.
using Complaint = std::optional<std::string>;

Complaint set_scalar(const Field& field, std::string* target, const std::string& text) {
  if (!field.choices.empty() &&
      std::find(field.choices.begin(), field.choices.end(), text) == field.choices.end()) {
    const std::string wanted = "expected " + expected_text<std::string>(field);
    const std::string near = suggestion(text, field.choices);
    return near.empty() ? wanted : wanted + " (" + near.substr(2) + ")";
  }
  *target = text;
  return std::nullopt;
}

Complaint set_scalar(const Field& field, const EnumTarget& target, const std::string& text) {
  std::string word;
  if (auto complaint = set_scalar(field, &word, text)) return complaint;
  target.set(word);
  return std::nullopt;
}

Complaint set_scalar(const Field& field, std::int64_t* target, const std::string& text) {
  const auto value = parse_number<std::int64_t>(text);
  if (!value || static_cast<double>(*value) < field.low ||
      static_cast<double>(*value) > field.high) {
    return "expected " + expected_text<std::int64_t>(field);
  }
  *target = *value;
  return std::nullopt;
}

Complaint set_scalar(const Field& field, int* target, const std::string& text) {
  std::int64_t value = 0;
  if (auto complaint = set_scalar(field, &value, text)) return complaint;
  *target = static_cast<int>(value);
  return std::nullopt;
}

Complaint set_scalar(const Field& field, double* target, const std::string& text) {
  const auto value = parse_number<double>(text);
  if (!value || !(*value >= field.low && *value <= field.high))
    return "expected " + expected_text<double>(field);
  *target = *value;
  return std::nullopt;
}

Complaint set_scalar(const Field& field, bool* target, const std::string& text) {
  if (text != "true" && text != "false") return "expected " + expected_text<bool>(field);
  *target = text == "true";
  return std::nullopt;
}

template <class T>
Complaint set_list(const Field& field, std::vector<T>* target,
                   const std::vector<std::string>& items) {
  std::vector<T> values;
  for (const auto& item : items) {
    T value{};
    if (const auto complaint = set_scalar(field, &value, item))
      return "expected a list, each item " + complaint->substr(9) + ", not \"" + item + '"';
    values.push_back(value);
  }
  *target = values;
  return std::nullopt;
}

Complaint set_list(const Field& field, const EnumListTarget& target,
                   const std::vector<std::string>& items) {
  std::vector<std::string> words;
  if (auto complaint = set_list(field, &words, items)) return complaint;
  target.set(words);
  return std::nullopt;
}

/// A list may be given as YAML sequence, or as "a,b,c" on the command line.
std::vector<std::string> items_of(const YAML::Node& node) {
  std::vector<std::string> items;
  if (node.IsSequence()) {
    for (const auto& item : node) items.push_back(item.Scalar());
    return items;
  }
  std::istringstream text(node.IsNull() ? std::string() : node.Scalar());
  for (std::string item; std::getline(text, item, ',');) {
    if (!item.empty()) items.push_back(item);
  }
  return items;
}

std::string shown(const YAML::Node& node) {
  if (node.IsScalar()) return '"' + node.Scalar() + '"';
  return node.IsNull() ? "nothing" : node.IsSequence() ? "a list" : "a section";
}

Complaint set_field(const Field& field, const YAML::Node& node) {
  return std::visit(
      [&](const auto& target) -> Complaint {
        using T = Value<decltype(target)>;
        if constexpr (kIsList<T>) {
          if (node.IsMap()) return "expected a list";
          return set_list(field, target, items_of(node));
        } else {
          if (node.IsNull() && std::is_same_v<T, std::string>)
            return set_scalar(field, target, std::string());
          if (!node.IsScalar()) return "expected one value";
          return set_scalar(field, target, node.Scalar());
        }
      },
      field.target);
}

class Reader {
 public:
  explicit Reader(Config& config) : fields_(config_fields(config)) {
    for (const auto& field : fields_) keys_.push_back(field.key);
  }

  void read_file(const std::string& file, const std::string& text) {
    YAML::Node root;
    try {
      root = YAML::Load(text);
    } catch (const YAML::Exception& error) {
      problems_.push_back(file + ":" + std::to_string(error.mark.line + 1) +
                          "  not YAML: " + error.msg);
      return;
    }
    if (root.IsNull()) return;
    if (!root.IsMap()) {
      problems_.push_back(file + ":1  expected sections and keys, found " + shown(root));
      return;
    }
    read_map(file, root, "");
  }

  void read_override(const Override& item) {
    YAML::Node value;
    try {
      value = YAML::Load(item.value);
    } catch (const YAML::Exception&) {
      value = YAML::Node(item.value);
    }
    if (value.IsMap()) value = YAML::Node(item.value);
    set("--" + item.key, item.key, value);
  }

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  void read_map(const std::string& file, const YAML::Node& map, const std::string& prefix) {
    for (const auto& entry : map) {
      const std::string key = prefix + entry.first.Scalar();
      const std::string place =
          file + ":" + std::to_string(entry.first.Mark().line + 1) + "  " + key;
      if (std::find(seen_.begin(), seen_.end(), key) != seen_.end())
        problems_.push_back(place + ": given twice");
      seen_.push_back(key);
      const bool section = std::any_of(keys_.begin(), keys_.end(),
                                       [&](const auto& k) { return k.starts_with(key + "."); });
      if (section && entry.second.IsMap()) {
        read_map(file, entry.second, key + ".");
      } else if (!section || !entry.second.IsNull()) {
        set(place, key, entry.second);
      }
    }
  }

  void set(const std::string& place, const std::string& key, const YAML::Node& value) {
    if (const std::string instead = replacement_of(key); !instead.empty()) {
      (place.starts_with("--") ? problems_ : notes_)
          .push_back(place + ": no longer used; " + instead);
      return;
    }
    const auto field =
        std::find_if(fields_.begin(), fields_.end(), [&](const auto& f) { return f.key == key; });
    if (field == fields_.end()) {
      problems_.push_back(place + ": unknown key" + suggestion(key, keys_));
    } else if (const auto complaint = set_field(*field, value)) {
      problems_.push_back(place + ": " + *complaint + ", got " + shown(value));
    }
  }

  std::vector<Field> fields_;
  std::vector<std::string> keys_;
  std::vector<std::string> seen_;
  std::vector<std::string> problems_;
  std::vector<std::string> notes_;
};

template <class T>
void check_list(const std::string& key, std::vector<T> items, std::vector<std::string>& problems) {
  if (items.empty()) problems.push_back(key + ": expected at least one, got none");
  std::sort(items.begin(), items.end());
  const auto twice = std::adjacent_find(items.begin(), items.end());
  if (twice == items.end()) return;
  if constexpr (std::is_same_v<T, double>)
    problems.push_back(key + ": " + format_number(*twice) + " appears twice");
  else
    problems.push_back(key + ": " + *twice + " appears twice");
}

std::vector<std::string> names_of(const std::vector<prune::FullMethod>& methods) {
  std::vector<std::string> names;
  for (const prune::FullMethod& method : methods) names.push_back(prune::full_name(method));
  return names;
}

void check_together(const Config& c, std::vector<std::string>& problems) {
  const prune::Method method = c.prune.options.method;
  if (c.prune.keep_ratio == 0 && method == prune::Method::kDiffProb) {
    if (c.prune.threshold == 0)
      problems.push_back("prune: set prune.keep_ratio or prune.threshold; both are 0");
  } else if (c.prune.keep_ratio == 0 && prune::has_keep_ratio(method)) {
    problems.push_back("prune.keep_ratio: method " + prune::method_name(method) +
                       " needs a value above 0");
  }
  check_list("sweep.methods", names_of(c.sweep.methods), problems);
  check_list("sweep.ratios", c.sweep.ratios, problems);
  for (const auto& [key, value] : {std::pair("model.margin", c.model.head.margin.margin),
                                   {"model.elastic_std", c.model.head.margin.elastic_std},
                                   {"augment.crop", c.augment.crop},
                                   {"augment.low_resolution", c.augment.low_resolution},
                                   {"augment.blur", c.augment.blur},
                                   {"augment.photometric", c.augment.photometric},
                                   {"augment.grayscale", c.augment.grayscale}}) {
    if (value < 0 && value != -1)
      problems.push_back(std::string(key) +
                         ": expected 0 or more, or -1 for the usual value, got " +
                         format_number(value));
  }
  if (c.output.empty()) problems.push_back("output: expected a folder, got nothing");
  if (c.data.train.empty()) problems.push_back("data.train: expected a data set, got nothing");
  if (!c.data.root.empty() && !c.data.stage_dir.empty())
    problems.push_back(
        "data.stage_dir: cannot copy lists whose images lie in another folder (data.root); move "
        "the "
        "list into that folder and leave data.root empty, or write the set with `diffprob data "
        "pack`");
}

/// A value as YAML.
std::string yaml_text(const std::string& text) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << text;
  return out.c_str();
}
std::string yaml_text(bool value) {
  return value ? "true" : "false";
}
std::string yaml_text(double value) {
  return format_number(value);
}
std::string yaml_text(int value) {
  return std::to_string(value);
}
std::string yaml_text(std::int64_t value) {
  return std::to_string(value);
}
template <class T>
std::string yaml_text(const std::vector<T>& items) {
  std::string list = "[";
  for (const auto& item : items) list += (list.size() > 1 ? ", " : "") + yaml_text(item);
  return list + "]";
}

/// The value that a target leads to.
std::string current(const EnumTarget& target) {
  return target.word();
}
std::vector<std::string> current(const EnumListTarget& target) {
  return target.words();
}
template <class T>
const T& current(T* target) {
  return *target;
}

}  // namespace

std::string value_text(const Field& field) {
  return std::visit([](const auto& target) { return yaml_text(current(target)); }, field.target);
}

std::string range_text(const Field& field) {
  return std::visit(
      [&](const auto& target) -> std::string {
        using T = Value<decltype(target)>;
        if constexpr (kIsList<T>)
          return "a list, each item " + expected_text<typename T::value_type>(field);
        else
          return expected_text<T>(field);
      },
      field.target);
}

Config parse_config(const std::string& file_name, const std::string& text,
                    const std::vector<Override>& overrides) {
  Config config;
  Reader reader(config);
  reader.read_file(file_name, text);
  for (const auto& item : overrides) reader.read_override(item);
  std::vector<std::string> problems = reader.problems();
  if (problems.empty()) check_together(config, problems);
  if (!problems.empty()) throw ConfigError(problems);
  config.notes = reader.notes();
  return config;
}

std::string dump_config(const Config& config, DumpStyle style) {
  Config copy = config;
  std::string section;
  std::string out;
  for (const auto& field : config_fields(copy)) {
    const auto dot = field.key.find('.');
    const std::string own = dot == std::string::npos ? "" : field.key.substr(0, dot);
    if (own != section) out += (style == DumpStyle::kWithHelp ? "\n" : "") + own + ":\n";
    section = own;
    std::string line = (own.empty() ? "" : "  ") +
                       field.key.substr(dot == std::string::npos ? 0 : dot + 1) + ": " +
                       value_text(field);
    if (style == DumpStyle::kWithHelp) {
      line.resize(std::max<std::size_t>(line.size(), 34), ' ');
      line += "  # " + field.help;
      for (std::size_t i = 0; i < field.choices.size(); ++i)
        line += (i == 0 ? " (" : ", ") + field.choices[i];
      if (!field.choices.empty()) line += ")";
    }
    out += line + "\n";
  }
  return out;
}

std::string dump_sections(const Config& config, const std::vector<std::string>& sections) {
  Config copy = config;
  std::string out;
  for (const auto& field : config_fields(copy)) {
    const std::string section = field.key.substr(0, field.key.find('.'));
    const bool wanted = std::any_of(sections.begin(), sections.end(),
                                    [&](const auto& s) { return s == section || s == field.key; });
    if (wanted) out += field.key + "=" + value_text(field) + "\n";
  }
  return out;
}

ConfigError::ConfigError(const std::vector<std::string>& problems)
    : std::runtime_error([&] {
        std::string message = "config: " + std::to_string(problems.size()) +
                              (problems.size() == 1 ? " problem" : " problems");
        for (const auto& problem : problems) message += "\n  " + problem;
        return message;
      }()),
      problems_(problems) {}

}  // namespace diffprob::launch
