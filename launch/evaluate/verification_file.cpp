#include "launch/evaluate/verification_file.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "data/files/atomic_file.h"
#include "launch/observe/json_file.h"
#include "launch/observe/json_member.h"

namespace diffprob::launch {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kVersion = 1;
constexpr std::size_t kMostValues = 100000;  // of a list; our own have some hundred

Json to_json(const std::vector<eval::SetReport>& reports) {
  Json list = Json::array();
  for (const auto& r : reports) {
    list.push_back({{"set", r.name},
                    {"pairs", r.pairs},
                    {"accuracy", r.verification.accuracy_mean},
                    {"accuracy_std", r.verification.accuracy_std},
                    {"auc", r.auc},
                    {"eer", r.eer},
                    {"xnorm", r.feature_norm},
                    {"fold_accuracy", r.verification.fold_accuracy},
                    {"genuine", r.curves.genuine},
                    {"impostor", r.curves.impostor},
                    {"far", r.curves.far},
                    {"tar", r.curves.tar}});
  }
  return list;
}

/// A number, or null for one that is not finite.
double number(const nlohmann::json& value, const char* name) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : json_as<double>(value, name);
}

std::vector<double> numbers(const nlohmann::json& list, const char* name) {
  if (!list.is_array() || list.size() > kMostValues)
    throw std::runtime_error(std::string(name) + " is not a list of numbers");
  std::vector<double> values;
  for (const auto& value : list) values.push_back(number(value, name));
  return values;
}

void read_bins(const nlohmann::json& list, const char* name,
               std::array<std::int64_t, eval::VerificationCurves::kBins>& bins) {
  if (!list.is_array() || list.size() != bins.size()) {
    throw std::runtime_error(std::string(name) + ": expected " + std::to_string(bins.size()) +
                             " counts");
  }
  for (std::size_t i = 0; i < bins.size(); ++i) {
    bins[i] = json_as<std::int64_t>(list[i], name);
    if (bins[i] < 0) throw std::runtime_error(std::string(name) + " has a negative count");
  }
}

std::vector<StoredVerification> from_json(const nlohmann::json& list) {
  std::vector<StoredVerification> sets;
  for (const auto& item : list) {
    StoredVerification set;
    set.set = json_member<std::string>(item, "set");
    set.pairs = json_member<std::int64_t>(item, "pairs");
    set.accuracy = number(item.at("accuracy"), "accuracy");
    set.accuracy_std = number(item.at("accuracy_std"), "accuracy_std");
    set.auc = number(item.at("auc"), "auc");
    set.eer = number(item.at("eer"), "eer");
    set.feature_norm = number(item.value("xnorm", nlohmann::json()), "xnorm");
    set.fold_accuracy = numbers(item.at("fold_accuracy"), "fold_accuracy");
    read_bins(item.at("genuine"), "genuine", set.curves.genuine);
    read_bins(item.at("impostor"), "impostor", set.curves.impostor);
    set.curves.far = numbers(item.at("far"), "far");
    set.curves.tar = numbers(item.at("tar"), "tar");
    if (set.curves.far.size() != set.curves.tar.size())
      throw std::runtime_error("far and tar have different lengths");
    if (!std::is_sorted(set.curves.far.begin(), set.curves.far.end()))
      throw std::runtime_error("far is not increasing");
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace

void write_verification(const std::string& path, const std::vector<eval::SetReport>& untrained,
                        const std::vector<eval::SetReport>& trained) {
  const Json json = {{"format_version", kVersion},
                     {"untrained", to_json(untrained)},
                     {"trained", to_json(trained)}};
  data::write_file_atomically(path,
                              json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

VerificationFile read_verification(const std::string& path) {
  const nlohmann::json json = read_json(path);
  try {
    const auto version = json_member<std::int64_t>(json, "format_version");
    if (version != kVersion)
      throw std::runtime_error("format_version is " + std::to_string(version) +
                               ", but this program reads 1");
    return {from_json(json.at("untrained")), from_json(json.at("trained"))};
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": no verification file: " + error.what());
  }
}

}  // namespace diffprob::launch
