#include "launch/evaluate/table_file.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <stdexcept>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "prune/files/hdf5_file.h"
#include "prune/files/npy_file.h"

namespace diffprob::launch {

struct TableFile::Writer {
  virtual ~Writer() = default;
  virtual void append(const std::vector<TableColumn>& columns) = 0;
  virtual void commit() = 0;
};

namespace {

std::size_t size_of(const TableColumn& column) {
  return std::visit([](const auto& values) { return values.size(); }, column.values);
}

class CsvWriter final : public TableFile::Writer {
 public:
  explicit CsvWriter(const std::string& path) : file_(path) {}

  void append(const std::vector<TableColumn>& columns) override {
    std::string text;
    if (file_.size() == 0) {
      for (const auto& column : columns) text += (text.empty() ? "" : ",") + column.name;
      text += '\n';
    }
    const std::size_t rows = size_of(columns.front());
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (c > 0) text += ',';
        std::visit([&](const auto& v) { fmt::format_to(std::back_inserter(text), "{}", v[row]); },
                   columns[c].values);
      }
      text += '\n';
      if (text.size() < kFlushBytes) continue;
      file_.write(text);
      text.clear();
    }
    file_.write(text);
  }
  void commit() override { file_.commit(); }

 private:
  static constexpr std::size_t kFlushBytes = std::size_t{1} << 20;
  data::AtomicFile file_;
};

class NpyColumnWriter final : public TableFile::Writer {
 public:
  NpyColumnWriter(const std::string& path, std::int64_t rows, std::string column)
      : file_(path, {rows}), column_(std::move(column)) {}

  void append(const std::vector<TableColumn>& columns) override {
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const auto& column) { return column.name == column_; });
    if (found == columns.end()) throw std::logic_error("no column " + column_);
    file_.append(std::get<std::span<const double>>(found->values));
  }
  void commit() override { file_.commit(); }

 private:
  prune::NpyWriter<double> file_;
  std::string column_;
};

class Hdf5Writer final : public TableFile::Writer {
 public:
  Hdf5Writer(const std::string& path, std::int64_t rows, const std::string& kind)
      : file_(path), rows_(static_cast<std::size_t>(rows)) {
    file_.attribute("format", kind);
    file_.attribute("format_version", std::int64_t{1});
  }

  void append(const std::vector<TableColumn>& columns) override {
    for (const auto& column : columns) {
      std::visit(
          [&]<class T>(std::span<const T> values) {
            const auto [open, is_new] = columns_.try_emplace(column.name);
            if (is_new) open->second = std::make_unique<Open<T>>(file_, column.name, rows_);
            static_cast<Open<T>&>(*open->second).column.append(values);
          },
          column.values);
    }
  }
  void commit() override {
    for (auto& [name, column] : columns_) column->finish();
    columns_.clear();
    file_.commit();
  }

 private:
  struct AnyOpen {
    virtual ~AnyOpen() = default;
    virtual void finish() = 0;
  };
  template <class T>
  struct Open final : AnyOpen {
    Open(const prune::HdfWriter& file, const std::string& name, std::size_t rows)
        : column(file.column<T>(name, rows)) {}
    void finish() override { column.finish(); }
    prune::HdfWriter::Column<T> column;
  };

  prune::HdfWriter file_;
  std::size_t rows_;
  std::map<std::string, std::unique_ptr<AnyOpen>> columns_;
};

std::unique_ptr<TableFile::Writer> make_writer(const std::string& path, std::int64_t rows,
                                               std::string npy_column, const std::string& kind) {
  switch (table_form(path)) {
    case TableForm::kNpy:
      return std::make_unique<NpyColumnWriter>(path, rows, std::move(npy_column));
    case TableForm::kHdf5:
      return std::make_unique<Hdf5Writer>(path, rows, kind);
    case TableForm::kCsv:
      break;
  }
  return std::make_unique<CsvWriter>(path);
}

}  // namespace

TableForm table_form(const std::string& path) {
  if (path.ends_with(".csv")) return TableForm::kCsv;
  if (path.ends_with(".npy")) return TableForm::kNpy;
  if (path.ends_with(".h5") || path.ends_with(".hdf5")) return TableForm::kHdf5;
  throw std::invalid_argument(path + ": expected a name that ends with .csv, .npy, .h5 or .hdf5");
}

TableFile::TableFile(const std::string& path, std::int64_t rows, std::string npy_column,
                     const std::string& kind)
    : path_(path), missing_(rows), writer_(make_writer(path, rows, std::move(npy_column), kind)) {}

TableFile::~TableFile() = default;

void TableFile::append(const std::vector<TableColumn>& columns) {
  const std::size_t rows = size_of(columns.front());
  for (const auto& column : columns)
    if (size_of(column) != rows) throw std::logic_error(path_ + ": columns of different length");
  writer_->append(columns);
  missing_ -= static_cast<std::int64_t>(rows);
}

void TableFile::commit() {
  if (missing_ != 0)
    throw data::DataError(path_ + ": " + std::to_string(missing_) + " rows are missing");
  writer_->commit();
}

}  // namespace diffprob::launch
