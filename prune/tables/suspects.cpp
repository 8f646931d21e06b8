#include "prune/tables/suspects.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/files/atomic_file.h"
#include "prune/error.h"

namespace diffprob::prune {
namespace {

bool comes_first(const Suspect& a, const Suspect& b) {
  const bool known_a = !std::isnan(a.nll), known_b = !std::isnan(b.nll);
  if (known_a != known_b) return known_a;
  if (known_a && a.nll != b.nll) return a.nll > b.nll;
  return a.index < b.index;
}

void append(std::string& line, double value) {
  line += ',';
  if (std::isnan(value)) return;
  char text[32];
  const auto result = std::to_chars(text, text + sizeof text, static_cast<float>(value));
  line.append(text, result.ptr);
}

/// With quotation marks where the text would be taken for several fields.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

}  // namespace

void Suspects::add(const Suspect& suspect) {
  suspects_.push_back(suspect);
  if (suspects_.size() >= 2 * most_) shorten();
}

void Suspects::shorten() {
  if (suspects_.size() <= most_) return;
  const auto end = suspects_.begin() + static_cast<std::ptrdiff_t>(most_);
  std::nth_element(suspects_.begin(), end, suspects_.end(), comes_first);
  suspects_.erase(end, suspects_.end());
}

std::vector<Suspect> Suspects::take() {
  shorten();
  std::sort(suspects_.begin(), suspects_.end(), comes_first);
  return std::move(suspects_);
}

std::vector<Suspect> gather_suspects(std::vector<Suspect> own, dist::HostCollectives& collectives,
                                     std::size_t most) {
  Suspects first(most);
  for (int rank = 0; rank < collectives.world_size(); ++rank) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives.world_size()), 0);
    std::span<const Suspect> sent;
    if (rank == collectives.rank()) sent = own;
    counts[0] = static_cast<std::int64_t>(sent.size());
    for (const Suspect& suspect : collectives.all_to_all_v(sent, counts)) first.add(suspect);
  }
  return first.take();
}

std::vector<Suspect> suspects_of(const std::string& where, const ScoreTable& table) {
  if (!table.columns.has("top1"))
    throw PruneError(where + ": has no column top1, so nobody knows which samples are suspicious");
  Suspects suspects;
  for (std::size_t i = 0; i < table.records.size(); ++i) {
    const ScoreRecord& record = table.records[i];
    if (record.top1 != table.labels[i])
      suspects.add({static_cast<std::int64_t>(i), table.labels[i], record.top1, record.nll,
                    record.top1_log_prob, Suspect::Dropped::kUnsaid});
  }
  return suspects.take();
}

void write_suspects(const std::string& path, std::span<const Suspect> suspects, double margin,
                    const DescribeSample& describe, std::span<const std::int64_t> whole) {
  data::AtomicFile file(path);
  file.write(
      "index,given_label,suggested_label,self_confidence,margin,log_margin,dropped,source\n");
  std::string line;
  for (const Suspect& suspect : suspects) {
    line = std::to_string(whole.empty() ? suspect.index
                                        : whole[static_cast<std::size_t>(suspect.index)]);
    line += ',' + std::to_string(suspect.label) + ',';
    if (suspect.suggested != kUnknownClass) line += std::to_string(suspect.suggested);
    const double given = -static_cast<double>(suspect.nll);
    const double other = margin == 0 ? static_cast<double>(suspect.top1_log_prob) : std::nan("");
    append(line, std::exp(given));
    append(line, std::exp(given) - std::exp(other));
    append(line, other - given);
    line += ',';
    if (suspect.dropped != Suspect::Dropped::kUnsaid)
      line += suspect.dropped == Suspect::Dropped::kYes ? '1' : '0';
    line += ',';
    if (describe) line += field(describe(suspect.index));
    file.write(line += '\n');
  }
  file.commit();
}

}  // namespace diffprob::prune
