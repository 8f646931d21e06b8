#include "model/weights/safetensors_header.h"

#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "data/error.h"
#include "model/weights/limits.h"

namespace diffprob::model {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMostDimensions = 64;
constexpr const char* kMetadata = "__metadata__";

/// Takes the events of the parser; no tree is built, and nothing deeper than the format has is
/// accepted.
class HeaderEvents : public Json::json_sax_t {
 public:
  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("a bool"); }
  bool number_integer(std::int64_t) override { return refuse("a negative number"); }
  bool number_float(double, const std::string&) override { return refuse("a fraction"); }
  bool binary(Json::binary_t&) override { return refuse("bytes"); }

  bool number_unsigned(std::uint64_t value) override {
    if (numbers_ == nullptr) return refuse("a number");
    if (numbers_->size() == kMostDimensions) return refuse("more than 64 numbers");
    numbers_->push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (depth_ != 2 || numbers_ != nullptr) return refuse("a text");
    if (in_metadata_) return true;
    if (member_ != "dtype") return refuse("a text");
    entries.back().type = value.substr(0, kLongestName);
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ == 2 || numbers_ != nullptr) return refuse("an object");
    ++depth_;
    return true;
  }

  bool key(std::string& name) override {
    if (name.size() > kLongestName) return refuse("a name of more than 1024 bytes");
    if (depth_ == 2) {
      member_ = name;
      return true;
    }
    in_metadata_ = name == kMetadata;
    if (!names_.insert(name).second) return refuse("the name " + name + " twice");
    if (in_metadata_) return true;
    if (entries.size() == kMostEntries) return refuse("too many tensors");
    entries.push_back({name, "", {}, {}, false});
    return true;
  }

  bool end_object() override {
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ != 2 || in_metadata_ || numbers_ != nullptr) return refuse("a list");
    auto& entry = entries.back();
    if (member_ == "shape") {
      numbers_ = &entry.shape;
      entry.has_shape = true;
    } else if (member_ == "data_offsets") {
      numbers_ = &entry.offsets;
    } else {
      return refuse("a list");
    }
    numbers_->clear();
    return true;
  }

  bool end_array() override {
    numbers_ = nullptr;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    problem = "the header is no JSON, at its byte " + std::to_string(position);
    return false;
  }

  std::vector<SafetensorsEntry> entries;
  std::string problem;

 private:
  bool refuse(const std::string& found) {
    problem = "the header has " + found;
    if (!entries.empty()) problem += " in or after entry " + entries.back().name;
    return false;
  }

  int depth_ = 0;
  bool in_metadata_ = false;
  std::string member_;
  std::vector<std::uint64_t>* numbers_ = nullptr;
  std::set<std::string> names_;
};

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(const std::string& json,
                                                       const std::string& path) {
  HeaderEvents events;
  if (!Json::sax_parse(json, &events)) {
    throw data::DataError(path + ": safetensors: " +
                          (events.problem.empty() ? "the header is no JSON" : events.problem));
  }
  return std::move(events.entries);
}

}  // namespace diffprob::model
