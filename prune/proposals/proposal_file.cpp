#include "prune/proposals/proposal_file.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "data/files/atomic_file.h"
#include "data/files/input_file.h"
#include "prune/error.h"

namespace diffprob::prune {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 30;
constexpr const char* kHeader =
    "kind,index,identity,name,proposed,proposed_name,probability,log_margin,agreement,samples,"
    "source\n";

/// With quotation marks where the text would be taken for several fields.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string number(std::int64_t value) {
  return value == Proposal::kNone ? "" : std::to_string(value);
}

std::string number(double value) {
  if (std::isnan(value)) return "";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, static_cast<float>(value)).ptr};
}

std::string line_of(const Proposal& p, const ProposalNames& names) {
  const auto name = [](const auto& of, std::int64_t number) {
    return of && number != Proposal::kNone ? field(of(number)) : std::string();
  };
  std::string line = proposal_name(p.kind);
  for (const std::string& each :
       {number(p.index), number(p.identity), name(names.identity, p.identity), number(p.proposed),
        name(names.identity, p.proposed), number(p.probability), number(p.log_margin),
        number(p.agreement), std::to_string(p.samples), name(names.sample, p.index)})
    line += ',' + each;
  return line + '\n';
}

/// Fields of a line, quotation marks taken away.
std::vector<std::string> fields_of(std::string_view line, const std::string& where) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) throw PruneError(where + ": a quotation mark is not closed on this line");
  return fields;
}

/// The columns that are read, by their names in the header.
class Columns {
 public:
  Columns(const std::vector<std::string>& header, const std::string& where) : header_(header) {
    for (const char* name : kNames) {
      const auto found = std::find(header.begin(), header.end(), name);
      if (found == header.end())
        throw PruneError(where + ": the header has no column '" + name +
                         "', expected kind, index, identity and proposed among them, as `diffprob "
                         "prune` writes them");
      places_.push_back(static_cast<std::size_t>(found - header.begin()));
    }
  }

  [[nodiscard]] ProposalLine proposal(const std::vector<std::string>& fields,
                                      const std::string& where) const {
    if (*std::max_element(places_.begin(), places_.end()) >= fields.size())
      throw PruneError(where + ": " + std::to_string(fields.size()) +
                       " fields, fewer than the header has");
    Proposal p;
    p.kind = kind(fields[places_[0]], where);
    const bool merges = p.kind == Proposal::Kind::kMerge;
    const bool splits = p.kind == Proposal::Kind::kSplit;
    p.index = whole(fields, 1, !merges, where);
    p.identity = whole(fields, 2, true, where);
    p.proposed = whole(fields, 3, !splits, where);
    ProposalLine line{p, 0, text(fields, "name"), text(fields, "proposed_name")};
    line.proposal.probability = real(fields, "probability", where);
    line.proposal.log_margin = real(fields, "log_margin", where);
    line.proposal.agreement = real(fields, "agreement", where);
    return line;
  }

 private:
  static constexpr const char* kNames[] = {"kind", "index", "identity", "proposed"};

  static Proposal::Kind kind(const std::string& text, const std::string& where) {
    for (const auto kind :
         {Proposal::Kind::kRelabel, Proposal::Kind::kMerge, Proposal::Kind::kSplit})
      if (text == proposal_name(kind)) return kind;
    throw PruneError(where + ": kind is '" + text + "', expected relabel, merge or split");
  }

  [[nodiscard]] std::int64_t whole(const std::vector<std::string>& fields, std::size_t column,
                                   bool expected, const std::string& where) const {
    const std::string& text = fields[places_[column]];
    const std::string what = where + ": " + kNames[column] + " is '" + text + "', expected ";
    if (!expected) {
      if (!text.empty()) throw PruneError(what + "nothing for this kind");
      return Proposal::kNone;
    }
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0)
      throw PruneError(what + "a whole number from 0");
    return value;
  }

  /// "" where there is no such column.
  [[nodiscard]] std::string text(const std::vector<std::string>& fields, const char* name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    const auto place = static_cast<std::size_t>(found - header_.begin());
    return place < std::min(header_.size(), fields.size()) ? fields[place] : std::string();
  }

  [[nodiscard]] double real(const std::vector<std::string>& fields, const char* name,
                            const std::string& where) const {
    const std::string value_text = text(fields, name);
    double value = std::nan("");
    if (value_text.empty()) return value;
    const char* end = value_text.data() + value_text.size();
    const auto [stop, error] = std::from_chars(value_text.data(), end, value);
    if (error != std::errc() || stop != end)
      throw PruneError(where + ": " + name + " is '" + value_text +
                       "', expected a number or nothing");
    return value;
  }

  std::vector<std::string> header_;
  std::vector<std::size_t> places_;
};

}  // namespace

const char* proposal_name(Proposal::Kind kind) {
  switch (kind) {
    case Proposal::Kind::kRelabel:
      return "relabel";
    case Proposal::Kind::kMerge:
      return "merge";
    case Proposal::Kind::kSplit:
      return "split";
  }
  throw PruneError("proposals: a kind has no name");
}

void write_proposals(const std::string& path, std::span<const Proposal> proposals,
                     const ProposalNames& names) {
  data::AtomicFile file(path);
  file.write(kHeader);
  for (const Proposal& each : proposals) file.write(line_of(each, names));
  file.commit();
}

std::vector<ProposalLine> read_proposals(const std::string& path) {
  const std::string text = data::read_text_file(path, kMostBytes);
  std::optional<Columns> columns;
  std::vector<ProposalLine> lines;
  std::int64_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view content = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++line;
    if (content.ends_with('\r')) content.remove_suffix(1);
    if (content.empty()) continue;
    const std::string where = path + " line " + std::to_string(line);
    const auto fields = fields_of(content, where);
    if (columns)
      lines.push_back(columns->proposal(fields, where)), lines.back().line = line;
    else
      columns.emplace(fields, where);
  }
  if (!columns) throw PruneError(path + ": is empty, expected a header line");
  return lines;
}

}  // namespace diffprob::prune
