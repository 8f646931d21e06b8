#include "prune/foreign/score_csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "data/files/atomic_file.h"
#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/tables/score_file.h"

namespace diffprob::prune {
namespace {

constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();
/// How far p and exp(-nll) may lie apart: tables are written with few digits.
constexpr double kAgreement = 1e-3;

/// Where each known column stands among the fields of a line.
struct Header {
  std::size_t fields = 0;
  std::size_t index = kNowhere;
  std::size_t label = kNowhere;
  std::size_t top1 = kNowhere;
  std::array<std::size_t, 8> floats{};  // of float_columns()
  ScoreColumns columns = ScoreColumns::none();
  std::vector<std::string> ignored;
};

/// Position of the name in float_columns(), or their number.
std::size_t float_column(std::string_view name) {
  const auto& columns = float_columns();
  return static_cast<std::size_t>(
      std::find_if(columns.begin(), columns.end(),
                   [&](const FloatColumn& column) { return name == column.name; }) -
      columns.begin());
}

void place(const data::TextLines& lines, std::string_view name, std::size_t field,
           std::size_t& at) {
  if (at != kNowhere) lines.fail("column '" + data::printable(name) + "' appears twice");
  at = field;
}

Header parse_header(const data::TextLines& lines) {
  std::vector<std::string_view> names;
  if (lines.text().find(';') != std::string_view::npos)
    lines.fail("commas between the columns, not semicolons (and points in numbers)", lines.text());
  data::split(lines.text(), ',', names);
  Header header;
  header.fields = names.size();
  header.floats.fill(kNowhere);
  for (std::size_t field = 0; field < names.size(); ++field) {
    const std::string_view name = names[field];
    const std::size_t as_float = float_column(name);
    if (name.find('"') != std::string_view::npos) lines.fail("names without quotes", name);
    if (name == "index") {
      place(lines, name, field, header.index);
    } else if (name == "label") {
      place(lines, name, field, header.label);
    } else if (name == "top1") {
      place(lines, name, field, header.top1);
    } else if (as_float < header.floats.size()) {
      place(lines, name, field, header.floats[as_float]);
    } else {
      header.ignored.emplace_back(name);
      continue;
    }
    if (name != "index" && name != "label") header.columns.add(name);
  }
  if (!header.columns.has("nll") && !header.columns.has("probability")) {
    lines.fail("a header with the column probability or nll", lines.text());
  }
  return header;
}

class CsvReader {
 public:
  CsvReader(const std::string& path, const SampleLabels& samples)
      : path_(path), samples_(samples), lines_(path) {}

  ScoreTable read(std::vector<std::string>* ignored) {
    if (!lines_.next())
      throw PruneError(path_ + ": an empty file, expected a header line (label,probability ...)");
    header_ = parse_header(lines_);
    if (header_.label == kNowhere && samples_.labels.empty()) {
      throw PruneError(
          path_ +
          ": no column label: give the data set (--data=PATH) or a list of labels (--labels=FILE)");
    }
    while (lines_.next()) row();
    if (records_.empty()) throw PruneError(path_ + ": no scores below the header line");
    if (ignored != nullptr) *ignored = header_.ignored;
    return finish();
  }

 private:
  void row() {
    data::split(lines_.text(), ',', fields_);
    if (fields_.size() != header_.fields) {
      lines_.fail(std::to_string(header_.fields) + " fields",
                  std::to_string(fields_.size()) + " fields");
    }
    ScoreRecord record = unknown_record(static_cast<std::uint32_t>(records_.size()));
    constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
    if (header_.index != kNowhere)
      record.index = static_cast<std::uint32_t>(whole(header_.index, "a sample index", kMost - 1));
    if (static_cast<std::int64_t>(records_.size()) == kMost)
      lines_.fail("fewer than 2^32 samples", "one more");
    constexpr std::int64_t kMostClasses = std::numeric_limits<std::int32_t>::max();
    if (header_.top1 != kNowhere && fields_[header_.top1] != "-1")
      record.top1 = static_cast<std::int32_t>(whole(header_.top1, "top1, a class", kMostClasses));
    if (header_.label != kNowhere)
      labels_.push_back(
          static_cast<std::int32_t>(whole(header_.label, "label, a class", kMostClasses)));
    for (std::size_t k = 0; k < header_.floats.size(); ++k) {
      if (header_.floats[k] != kNowhere) record.*float_columns()[k].member = real(k);
    }
    if (!is_marked(record)) complete(record);
    records_.push_back(record);
  }

  std::int64_t whole(std::size_t field, const char* what, std::int64_t most) const {
    std::int64_t value = 0;
    if (!data::parse_number(fields_[field], value) || value < 0 || value > most) {
      lines_.fail(std::string(what) + " (a whole number, 0 or more)", fields_[field]);
    }
    return value;
  }

  float real(std::size_t column) const {
    const std::string_view field = fields_[header_.floats[column]];
    float value = 0;
    if (!data::parse_number(field, value) || std::isnan(value))
      lines_.fail(std::string(float_columns()[column].name) + ", a number", field);
    return value + 0.0F;
  }

  /// A probability of -1 marks a mispredicted sample: then nothing is known but that.
  bool is_marked(ScoreRecord& record) {
    const bool marked =
        header_.columns.has("probability") && record.probability == kMispredictedMark;
    if (!marked && header_.top1 != kNowhere && record.top1 == kUnknownClass)
      lines_.fail("top1 is -1, which only a sample whose probability is -1 may have");
    if (!marked) return false;
    record.nll = record.probability = std::numeric_limits<float>::quiet_NaN();
    record.top1 = kUnknownClass;
    any_marked_ = true;
    return true;
  }

  /// nll and probability are two forms of one number.
  void complete(ScoreRecord& record) const {
    const bool nll = header_.columns.has("nll");
    const bool probability = header_.columns.has("probability");
    if (nll && record.nll < 0)
      lines_.fail("nll is " + std::to_string(record.nll) + ", expected at least 0");
    if (probability && !(record.probability >= 0 && record.probability <= 1)) {
      lines_.fail("probability is " + std::to_string(record.probability) + ", expected 0 to 1");
    }
    if (!nll) record.nll = static_cast<float>(nll_of(record.probability));
    if (!probability) record.probability = static_cast<float>(probability_of(record.nll));
    if (nll && probability &&
        std::abs(probability_of(record.nll) - record.probability) > kAgreement) {
      lines_.fail("probability " + std::to_string(record.probability) +
                  " is not exp(-nll) of nll " + std::to_string(record.nll));
    }
  }

  ScoreTable finish() {
    ScoreTable table;
    table.columns = header_.columns;
    table.columns.add("nll");
    table.columns.add("probability");
    const bool marks_alone = any_marked_ && header_.top1 == kNowhere;
    if (any_marked_) table.columns.add("top1");
    const auto count = records_.size();
    if (!samples_.labels.empty() && samples_.labels.size() != count) {
      throw PruneError(path_ + ": " + std::to_string(count) +
                       " scores, but the data set or list has " +
                       std::to_string(samples_.labels.size()) + " labels");
    }
    sort_by_index();
    table.source = imported_source(samples_);
    table.labels = samples_.labels.empty() ? std::move(labels_) : samples_.labels;
    table.records = std::move(records_);
    for (std::size_t i = 0; marks_alone && i < count; ++i)
      if (!std::isnan(table.records[i].probability)) table.records[i].top1 = table.labels[i];
    if (samples_.labels.empty()) table.source.num_classes = 1 + largest_class(table);
    check_labels(table);
    check_table(path_, table);
    return table;
  }

  void sort_by_index() {
    if (header_.index == kNowhere) return;
    const auto count = records_.size();
    std::vector<ScoreRecord> sorted(count);
    std::vector<std::int32_t> labels(labels_.size());
    std::vector<bool> seen(count);
    for (std::size_t at = 0; at < count; ++at) {
      const std::size_t index = records_[at].index;
      if (index >= count) {
        throw PruneError(path_ + ": index " + std::to_string(index) + " in a file of " +
                         std::to_string(count) + " scores, expected each of 0 to " +
                         std::to_string(count - 1) + " once");
      }
      if (seen[index])
        throw PruneError(path_ + ": index " + std::to_string(index) + " appears twice");
      seen[index] = true;
      sorted[index] = records_[at];
      if (!labels.empty()) labels[index] = labels_[at];
    }
    records_ = std::move(sorted);
    labels_ = std::move(labels);
  }

  /// Of labels and predictions.
  static std::int64_t largest_class(const ScoreTable& table) {
    std::int64_t largest = *std::max_element(table.labels.begin(), table.labels.end());
    for (const ScoreRecord& record : table.records)
      largest = std::max<std::int64_t>(largest, record.top1);
    return largest;
  }

  void check_labels(const ScoreTable& table) const {
    if (samples_.labels.empty() || labels_.empty()) return;
    const auto differs = std::mismatch(labels_.begin(), labels_.end(), table.labels.begin());
    if (differs.first == labels_.end()) return;
    throw PruneError(path_ + ": sample " + std::to_string(differs.first - labels_.begin()) +
                     " has label " + std::to_string(*differs.first) +
                     ", but in the data set it has " + std::to_string(*differs.second) +
                     ": these scores belong to another data set or are in another order");
  }

  const std::string& path_;
  const SampleLabels& samples_;
  data::TextLines lines_;
  Header header_;
  std::vector<std::string_view> fields_;
  std::vector<ScoreRecord> records_;  // in the order of lines
  std::vector<std::int32_t> labels_;  // [records], or empty without such a column
  bool any_marked_ = false;
};

void append(std::string& line, float value) {
  char text[32];
  const auto result = std::to_chars(text, text + sizeof text, value);
  line.append(text, result.ptr);
}

}  // namespace

ScoreTable read_score_csv(const std::string& path, const SampleLabels& samples,
                          std::vector<std::string>* ignored) {
  return CsvReader(path, samples).read(ignored);
}

bool is_score_csv(const std::string& path) {
  data::TextLines lines(path);
  std::vector<std::string_view> names;
  if (!lines.next()) return false;
  const bool semicolons = lines.text().find(';') != std::string_view::npos;  // refused later
  data::split(lines.text(), semicolons ? ';' : ',', names);
  return std::any_of(names.begin(), names.end(),
                     [](std::string_view name) { return name == "probability" || name == "nll"; });
}

void write_score_csv(const std::string& path, const ScoreTable& table) {
  check_table(path, table);
  data::AtomicFile file(path);
  const bool top1 = table.columns.has("top1");
  std::vector<FloatColumn> columns;
  for (const FloatColumn& column : float_columns()) {
    if (table.columns.has(column.name)) columns.push_back(column);
  }
  std::string line = std::string("index,label") + (top1 ? ",top1" : "");
  for (const FloatColumn& column : columns) line += std::string(",") + column.name;
  file.write(line + '\n');
  for (std::size_t i = 0; i < table.records.size(); ++i) {
    line = std::to_string(i) + ',' + std::to_string(table.labels[i]);
    if (top1) line += ',' + std::to_string(table.records[i].top1);
    const bool marked = top1 && table.records[i].top1 == kUnknownClass;
    for (const FloatColumn& column : columns) {
      const float value = table.records[i].*column.member;
      append(line += ',',
             marked && std::isnan(value) ? static_cast<float>(kMispredictedMark) : value);
    }
    file.write(line + '\n');
  }
  file.commit();
}

}  // namespace diffprob::prune
