#include "data/files/atomic_file.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "data/error.h"

namespace diffprob::data {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw DataError(path + ": " + what + ": " + std::strerror(errno));
}

/// Creates a file nobody else has: the name holds the process id and a counter, and O_EXCL settles
/// the rest (other nodes).
int create_temporary(const std::string& path, std::string& name) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    name = path + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
    const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0) return file;
    if (errno != EEXIST) break;
  }
  fail(path, "cannot create a temporary file in the same folder");
}

/// A folder that is open: it can be synced although it has another name by then.
class OpenFolder {
 public:
  explicit OpenFolder(std::string path)
      : path_(std::move(path)), file_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (file_ < 0) fail(path_, "cannot open this folder");
  }
  ~OpenFolder() { ::close(file_); }
  OpenFolder(const OpenFolder&) = delete;
  OpenFolder& operator=(const OpenFolder&) = delete;

  /// Some file systems (FUSE, old NFS) do not sync folders; a rename is still atomic there.
  void sync() const {
    if (::fsync(file_) != 0 && errno != EINVAL && errno != ENOSYS)
      fail(path_, "cannot sync this folder");
  }

 private:
  std::string path_;
  int file_;
};

}  // namespace

void sync_folder(const std::string& folder) {
  OpenFolder(folder).sync();
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  file_ = create_temporary(path_, temporary_);
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (file_ < 0) throw DataError(path_ + ": write after close()");
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  size_ += static_cast<std::int64_t>(bytes.size());
  if (buffer_.size() >= kBufferBytes) flush();
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::flush() {
  std::span<const std::byte> rest(buffer_);
  while (!rest.empty()) {
    const ssize_t done = ::write(file_, rest.data(), rest.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(path_, "write failed");
    rest = rest.subspan(static_cast<std::size_t>(done));
  }
  buffer_.clear();
}

void AtomicFile::close() {
  if (file_ < 0) return;
  flush();
  if (::fsync(file_) != 0) fail(path_, "sync failed");
  const int file = std::exchange(file_, -1);
  if (::close(file) != 0) fail(path_, "close failed");
}

void AtomicFile::commit() {
  if (committed_) return;
  close();
  const std::string name = std::filesystem::path(path_).parent_path();
  const OpenFolder folder(name.empty() ? "." : name);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail(path_, "cannot rename " + temporary_ + " to it");
  committed_ = true;
  folder.sync();  // whoever waited for the file may have renamed the folder by now
}

void write_file_atomically(const std::string& path, std::string_view content) {
  write_file_atomically(path, std::as_bytes(std::span(content)));
}

void write_file_atomically(const std::string& path, std::span<const std::byte> content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace diffprob::data
