#include "launch/config/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>

#include "launch/config/fields.h"
#include "launch/config/head_group.h"
#include "launch/config/suggest.h"
#include "launch/config/values.h"
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

/// Says that YAML indents with blanks, if a line on which the reader stopped, or the one before,
/// begins with a tab.
std::string tab_hint(const std::string& text, int line) {
  std::istringstream lines(text);
  std::string each;
  for (int i = 0; std::getline(lines, each); ++i) {
    const auto first = each.find_first_not_of(' ');
    if ((i == line || i + 1 == line) && first != std::string::npos && each[first] == '\t')
      return " (line " + std::to_string(i + 1) + " is indented by a tab; YAML indents with blanks)";
  }
  return "";
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
                          "  not YAML: " + error.msg + tab_hint(text, error.mark.line));
      return;
    }
    if (root.IsNull()) {
      if (!file.empty())
        problems_.push_back(file +
                            ": expected sections and keys, but the file is empty or has only "
                            "comments (leave it out to use the defaults, which `diffprob config "
                            "--print-defaults` prints)");
      return;
    }
    if (!root.IsMap()) {
      problems_.push_back(file + ":1  expected sections and keys, found " +
                          shown(given_in_yaml(root)));
      return;
    }
    read_map(file, root, "");
  }

  void read_override(const Override& item) {
    set("--" + item.key, item.key, {GivenValue::Kind::kText, item.value, {}});
  }

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
  [[nodiscard]] bool is_section(const std::string& key) const {
    return std::any_of(keys_.begin(), keys_.end(),
                       [&](const auto& k) { return k.starts_with(key + "."); });
  }

  void read_map(const std::string& file, const YAML::Node& map, const std::string& prefix) {
    for (const auto& entry : map) {
      const std::string key = prefix + entry.first.Scalar();
      const std::string place =
          file + ":" + std::to_string(entry.first.Mark().line + 1) + "  " + key;
      if (std::find(seen_.begin(), seen_.end(), key) != seen_.end())
        problems_.push_back(place + ": given twice");
      seen_.push_back(key);
      const bool section = is_section(key);
      if (section && entry.second.IsMap()) {
        read_map(file, entry.second, key + ".");
      } else if (!section || !entry.second.IsNull()) {
        set(place, key, given_in_yaml(entry.second));
      }
    }
  }

  void set(const std::string& place, const std::string& key, const GivenValue& value) {
    if (const std::string instead = replacement_of(key); !instead.empty()) {
      (place.starts_with("--") ? problems_ : notes_)
          .push_back(place + ": no longer used; " + instead);
      return;
    }
    const auto field =
        std::find_if(fields_.begin(), fields_.end(), [&](const auto& f) { return f.key == key; });
    if (field == fields_.end() && is_section(key)) {
      problems_.push_back(place + ": expected a section with keys, such as " +
                          *std::find_if(keys_.begin(), keys_.end(),
                                        [&](const auto& k) { return k.starts_with(key + "."); }) +
                          ", got " + shown(value));
    } else if (field == fields_.end()) {
      problems_.push_back(place + ": unknown key" + key_suggestion(key, keys_));
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
  try {
    (void)head_group_of(c.model.head_group);
  } catch (const ConfigError& error) {
    problems.insert(problems.end(), error.problems().begin(), error.problems().end());
  }
  if (c.output.empty()) problems.push_back("output: expected a folder, got nothing");
  if (c.data.train.empty()) problems.push_back("data.train: expected a data set, got nothing");
  if (!c.data.root.empty() && !c.data.stage_dir.empty())
    problems.push_back(
        "data.stage_dir: cannot copy lists whose images lie in another folder (data.root); move "
        "the list into that folder and leave data.root empty, or write the set with `diffprob data "
        "pack`");
}

/// Keys of the command line, and keys whose values are not the defaults.
std::vector<GivenKey> given_keys(Config& config, const std::vector<Override>& overrides) {
  Config defaults;
  const std::vector<Field> fields = config_fields(config);
  const std::vector<Field> usual = config_fields(defaults);
  std::vector<GivenKey> given;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string& key = fields[i].key;
    const bool is_flag =
        std::ranges::any_of(overrides, [&](const Override& item) { return item.key == key; });
    if (is_flag || value_text(fields[i]) != value_text(usual[i])) given.push_back({key, is_flag});
  }
  return given;
}

}  // namespace

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
  config.given = given_keys(config, overrides);
  return config;
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
