#include "launch/evaluate/network_table.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "launch/evaluate/results.h"
#include "launch/observe/text_table.h"

namespace diffprob::launch {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRankingFar = 1e-4;

/// A measured value of every network; NaN where it is unknown.
struct Measure {
  std::string title;     ///< of the table's column; "" keeps it out of the table
  std::string csv_name;  ///< "" keeps it out of the .csv
  std::vector<double> values;
  bool is_share = true;  ///< higher is better, shown in %
};

template <class Value>
std::vector<double> values_of(const std::vector<EvaluatedNetwork>& networks, const Value& value) {
  std::vector<double> values;
  for (const auto& network : networks)
    values.push_back(network.problem.empty() ? value(network) : kNan);
  return values;
}

double mean_accuracy(const EvaluatedNetwork& network) {
  double sum = 0;
  for (const auto& report : network.reports) sum += report.verification.accuracy_mean;
  return sum / static_cast<double>(network.reports.size());
}

double mean_norm(const EvaluatedNetwork& network) {
  double sum = 0;
  for (const auto& report : network.reports) sum += report.feature_norm;
  return sum / static_cast<double>(network.reports.size());
}

/// A network that was evaluated tells what all of them have; null when there is none.
const EvaluatedNetwork* example(const std::vector<EvaluatedNetwork>& networks) {
  const auto found = std::find_if(networks.begin(), networks.end(),
                                  [](const auto& network) { return network.problem.empty(); });
  return found == networks.end() ? nullptr : &*found;
}

void add_sets(const std::vector<EvaluatedNetwork>& networks, const EvaluatedNetwork& like,
              std::vector<Measure>& measures) {
  for (std::size_t s = 0; s < like.reports.size(); ++s) {
    const std::string& name = like.reports[s].name;
    measures.push_back({name, name + ".accuracy", values_of(networks, [s](const auto& n) {
                          return n.reports[s].verification.accuracy_mean;
                        })});
    measures.push_back(
        {"", name + ".xnorm",
         values_of(networks, [s](const auto& n) { return n.reports[s].feature_norm; }), false});
  }
  if (like.reports.empty()) return;
  measures.push_back(
      {like.reports.size() > 1 ? "mean" : "", "mean_accuracy", values_of(networks, mean_accuracy)});
  measures.push_back({"XNorm", "", values_of(networks, mean_norm), false});
}

void add_ijb(const std::vector<EvaluatedNetwork>& networks, const EvaluatedNetwork& like,
             std::vector<Measure>& measures) {
  for (std::size_t i = 0; i < like.ijb.size(); ++i) {
    for (std::size_t v = 0; v < like.ijb[i].variants.size(); ++v) {
      const auto& variant = like.ijb[i].variants[v];
      for (std::size_t f = 0; f < variant.tar.size(); ++f) {
        const double far = variant.tar[f].far_target;
        const std::string name = like.ijb[i].name + "." + variant.variant.name();
        measures.push_back(
            {far == kRankingFar ? fmt::format("{}@{:.0e}", name, far) : "",
             fmt::format("{}.tar@{:.0e}", name, far),
             values_of(networks, [=](const auto& n) { return n.ijb[i].variants[v].tar[f].tar; })});
      }
    }
  }
}

std::vector<Measure> measures_of(const std::vector<EvaluatedNetwork>& networks) {
  std::vector<Measure> measures;
  if (const EvaluatedNetwork* like = example(networks)) {
    add_sets(networks, *like, measures);
    add_ijb(networks, *like, measures);
  }
  return measures;
}

/// Index of the highest value, the first of equal ones; NaN is none.
std::optional<std::size_t> highest(const std::vector<double>& values) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isnan(values[i]) && (!best || values[i] > values[*best])) best = i;
  return best;
}

std::string cell_of(const Measure& measure, std::size_t network) {
  const double value = measure.values[network];
  if (std::isnan(value)) return "-";
  if (!measure.is_share) return fmt::format("{:.4f}", value);
  const bool best = highest(measure.values) == network;
  return fmt::format("{:.2f}{}", 100 * value, best ? "*" : " ");
}

std::string number_text(const std::optional<std::int64_t>& number, const char* otherwise) {
  return number ? std::to_string(*number) : otherwise;
}

nlohmann::json number_json(const std::optional<std::int64_t>& number) {
  return number ? nlohmann::json(*number) : nlohmann::json();
}

/// What best_network() compares.
std::string ranking_name(const EvaluatedNetwork& like) {
  if (!like.reports.empty()) return "mean accuracy over the verification sets";
  return fmt::format("TAR at FAR {:.0e} on {} {}", kRankingFar, like.ijb.front().name,
                     like.ijb.front().variants.front().variant.name());
}

}  // namespace

std::optional<std::size_t> best_network(const std::vector<EvaluatedNetwork>& networks) {
  for (const Measure& measure : measures_of(networks))
    if (measure.csv_name == "mean_accuracy") return highest(measure.values);
  for (const Measure& measure : measures_of(networks))
    if (measure.is_share && !measure.title.empty()) return highest(measure.values);
  return std::nullopt;
}

std::string network_table(const std::vector<EvaluatedNetwork>& networks) {
  const auto measures = measures_of(networks);
  const auto best = best_network(networks);
  std::vector<std::vector<std::string>> lines = {{"network", "step", "epoch"}};
  for (const auto& measure : measures)
    if (!measure.title.empty()) lines[0].push_back(measure.title + (measure.is_share ? " " : ""));
  lines[0].emplace_back("");
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const EvaluatedNetwork& network = networks[i];
    lines.push_back(
        {network.file.name, number_text(network.file.step, "-"), number_text(network.epoch, "-")});
    for (const auto& measure : measures)
      if (!measure.title.empty()) lines.back().push_back(cell_of(measure, i));
    lines.back().emplace_back(!network.problem.empty() ? "skipped" : best == i ? "best" : "");
  }
  std::string text = text_table(lines);
  if (best)
    text += fmt::format("  in %, but XNorm; *: highest of its column; best: highest {}\n",
                        ranking_name(networks[*best]));
  return text;
}

nlohmann::json networks_json(const std::vector<EvaluatedNetwork>& networks) {
  const auto best = best_network(networks);
  nlohmann::json list = nlohmann::json::array();
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const EvaluatedNetwork& network = networks[i];
    nlohmann::json row = {{"network", network.file.name},
                          {"path", network.file.path},
                          {"step", number_json(network.file.step)},
                          {"epoch", number_json(network.epoch)},
                          {"best", best == i}};
    if (network.problem.empty()) {
      row["verification"] = reports_to_json(network.reports);
      row["ijb"] = nlohmann::json::array();
      for (std::size_t k = 0; k < network.ijb.size(); ++k)
        row["ijb"].push_back(ijb_to_json(network.ijb_folders[k], network.ijb[k]));
    } else {
      row["problem"] = network.problem;
    }
    list.push_back(row);
  }
  nlohmann::json json = {{"format_version", 1}, {"best", nullptr}, {"networks", list}};
  if (best) {
    json["best"] = networks[*best].file.name;
    json["best_by"] = ranking_name(networks[*best]);
  }
  return json;
}

std::string networks_csv(const std::vector<EvaluatedNetwork>& networks) {
  const auto measures = measures_of(networks);
  const auto best = best_network(networks);
  std::string csv = "network,step,epoch";
  for (const auto& measure : measures)
    if (!measure.csv_name.empty()) csv += "," + csv_field(measure.csv_name);
  csv += ",best,problem\n";
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const EvaluatedNetwork& network = networks[i];
    csv += csv_field(network.file.name) + "," + number_text(network.file.step, "") + "," +
           number_text(network.epoch, "");
    for (const auto& measure : measures) {
      if (measure.csv_name.empty()) continue;
      csv += std::isnan(measure.values[i]) ? "," : fmt::format(",{}", measure.values[i]);
    }
    csv += fmt::format(",{},{}\n", best == i ? 1 : 0, csv_field(network.problem));
  }
  return csv;
}

}  // namespace diffprob::launch
