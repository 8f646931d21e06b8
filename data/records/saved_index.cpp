#include "data/records/saved_index.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <span>
#include <type_traits>
#include <utility>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/files/sha256.h"
#include "data/random/splitmix64.h"

namespace diffprob::data {
namespace {

constexpr std::array<char, 8> kMark = {'D', 'P', 'R', 'E', 'C', 'I', 'X', '1'};
constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::int64_t kSettled = 2 * kNanoseconds;  // coarser times of change are not in use
constexpr std::int64_t kProbes = 16;
constexpr std::int64_t kDigestBytes = 32;

struct Head {
  std::array<char, 8> mark = kMark;
  IndexedFiles files;
  std::int64_t images = 0;
  std::int64_t num_classes = 0;
  std::int64_t has_keys = 0;
  std::int64_t first_key = 0;
  std::array<char, 64> fingerprint{};
};
static_assert(sizeof(Head) == 144 && std::is_trivially_copyable_v<Head>);

std::int64_t time_of_change(const std::string& path, std::int64_t& bytes) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw DataError(path + ": " + std::strerror(errno));
  bytes = status.st_size;
  return status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec;
}

/// Calls use() with each column, in the order of the file.
template <class Columns, class Use>
void for_columns(Columns& columns, const Use& use) {
  use(std::span(columns.low_words));
  use(std::span(columns.high_bytes));
  use(std::span(columns.labels));
  use(std::span(columns.keys));
}

class IndexReader {
 public:
  explicit IndexReader(const std::string& path) : file_(path) {}

  template <class T>
  void take(std::span<T> values) {
    const auto bytes = std::as_writable_bytes(values);
    file_.read(at_, bytes);
    digest_.update(bytes);
    at_ += static_cast<std::int64_t>(bytes.size());
  }
  [[nodiscard]] bool ends_with_digest() {
    std::array<std::byte, kDigestBytes> stored;
    file_.read(at_, stored);
    return stored == digest_.bytes();
  }
  [[nodiscard]] std::int64_t size() const { return file_.size(); }

 private:
  InputFile file_;
  Sha256 digest_;
  std::int64_t at_ = 0;
};

bool is_right_size(const Head& head, std::int64_t bytes) {
  const std::int64_t of_an_image = 9 + (head.has_keys != 0 ? 4 : 0);
  const auto rest = bytes - static_cast<std::int64_t>(sizeof(Head)) - kDigestBytes;
  return head.images > 0 && rest >= 0 && rest % of_an_image == 0 &&
         rest / of_an_image == head.images;
}

std::optional<SavedIndex> read_index(const std::string& path, const IndexedFiles& files) {
  IndexReader reader(path);
  Head head;
  reader.take(std::span(&head, 1));
  if (head.mark != kMark || head.files != files || !is_right_size(head, reader.size()))
    return std::nullopt;
  const auto images = static_cast<std::size_t>(head.images);
  RecordTable::Columns columns;
  columns.low_words.resize(images);
  columns.high_bytes.resize(images);
  columns.labels.resize(images);
  columns.keys.resize(head.has_keys != 0 ? images : 0);
  columns.first_key = static_cast<std::uint32_t>(head.first_key);
  for_columns(columns, [&](auto values) { reader.take(values); });
  if (!reader.ends_with_digest()) return std::nullopt;
  return SavedIndex{RecordTable(std::move(columns)), head.num_classes,
                    std::string(head.fingerprint.begin(), head.fingerprint.end())};
}

/// Some records, the first and the last among them, are where the index says, with its labels.
bool agrees(const RecordReader& records, const RecordTable& table) {
  for (std::int64_t i = 0; i < kProbes; ++i) {
    const std::uint64_t drawn = splitmix64(static_cast<std::uint64_t>(i));
    const auto size = static_cast<std::uint64_t>(table.size());
    const std::int64_t index = i == 0   ? 0
                               : i == 1 ? table.size() - 1
                                        : static_cast<std::int64_t>(drawn % size);
    const RecordEntry entry = table[index];
    const RecordHead head = records.head(entry.offset);
    if (head.image_length() <= 0 || head.labels[0] != static_cast<float>(entry.label)) return false;
  }
  return true;
}

bool labels_in_range(const SavedIndex& index) {
  for (std::int64_t i = 0; i < index.table.size(); ++i)
    if (index.table[i].label >= index.num_classes) return false;
  return true;
}

}  // namespace

std::string saved_index_path(const std::string& rec_path) {
  return std::filesystem::path(rec_path).replace_extension(".rec_index").string();
}

IndexedFiles indexed_files(const std::string& rec_path, const std::string& idx_path,
                           std::optional<std::int64_t> announced_classes) {
  IndexedFiles files;
  files.rec_time = time_of_change(rec_path, files.rec_bytes);
  if (std::filesystem::exists(idx_path)) files.idx_time = time_of_change(idx_path, files.idx_bytes);
  files.announced_classes = announced_classes.value_or(-1);
  return files;
}

std::optional<SavedIndex> read_saved_index(const RecordReader& records, const IndexedFiles& files) {
  const std::string path = saved_index_path(records.file().path());
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  try {
    auto index = read_index(path, files);
    if (index && labels_in_range(*index) && agrees(records, index->table)) return index;
  } catch (const DataError&) {  // it cannot be read, is cut off, or points outside the .rec
  }
  return std::nullopt;
}

void save_index(const std::string& rec_path, const IndexedFiles& files, const SavedIndex& index) {
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  if (now - std::max(files.rec_time, files.idx_time) < kSettled) return;
  const RecordTable::Columns& columns = index.table.columns();
  Head head;
  head.files = files;
  head.images = index.table.size();
  head.num_classes = index.num_classes;
  head.has_keys = columns.keys.empty() ? 0 : 1;
  head.first_key = columns.first_key;
  std::copy_n(index.fingerprint.begin(), std::min<std::size_t>(64, index.fingerprint.size()),
              head.fingerprint.begin());
  try {
    AtomicFile file(saved_index_path(rec_path));
    Sha256 digest;
    const auto put = [&](std::span<const std::byte> bytes) {
      file.write(bytes);
      digest.update(bytes);
    };
    put(std::as_bytes(std::span(&head, 1)));
    for_columns(columns, [&](auto values) { put(std::as_bytes(values)); });
    const auto end = digest.bytes();
    file.write(end);
    file.commit();
  } catch (const DataError&) {  // the folder cannot be written, or is full: nothing is left there
  }
}

}  // namespace diffprob::data
