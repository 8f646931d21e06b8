#include "data/staging/staged_copy.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/error.h"
#include "data/files/input_file.h"
#include "data/files/sha256.h"

namespace diffprob::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDigestFile = "parts.sha256";
constexpr std::size_t kDigestBytes = 32;
constexpr std::int64_t kBlockBytes = 512;  // unit of st_blocks
using Digest = std::array<std::byte, kDigestBytes>;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw DataError(path + ": " + what + ": " + std::strerror(errno));
}

/// A file that is written at offsets.
class OutputFile {
 public:
  OutputFile(std::string path, int flags)
      : path_(std::move(path)), file_(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666)) {
    if (file_ < 0) fail(path_, "cannot be opened for writing");
  }
  ~OutputFile() { ::close(file_); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void resize(std::int64_t size) const {
    struct stat status {};
    if (::fstat(file_, &status) != 0) fail(path_, "cannot be examined");
    if (status.st_size != size && ::ftruncate(file_, size) != 0)
      fail(path_, "cannot be resized to " + std::to_string(size) + " bytes");
  }
  void write(std::int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t done = ::pwrite(file_, bytes.data(), bytes.size(), offset);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail(path_, "write failed");
      bytes = bytes.subspan(static_cast<std::size_t>(done));
      offset += done;
    }
  }

 private:
  std::string path_;
  int file_;
};

Digest digest_of(std::span<const std::byte> bytes) {
  Sha256 sha;
  sha.update(bytes);
  return sha.bytes();
}

std::string mebibytes(std::int64_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

}  // namespace

StagedCopy::StagedCopy(DatasetFiles source, std::string folder)
    : source_(std::move(source)), folder_(std::move(folder)) {
  for (std::size_t file = 0; file < source_.files.size(); ++file) {
    const auto size = source_.files[file].size;
    bytes_ += size;
    for (std::int64_t at = 0; at < size; at += kPartBytes)
      parts_.push_back({file, at, std::min(kPartBytes, size - at)});
  }
}

std::string StagedCopy::target(const std::string& name) const {
  return (fs::path(folder_) / name).string();
}

std::string StagedCopy::entry() const {
  return source_.entry.empty() ? folder_ : target(source_.entry);
}

void StagedCopy::check_room() const {
  std::int64_t needed = parts() * static_cast<std::int64_t>(kDigestBytes);
  for (const auto& file : source_.files) {
    struct stat status {};
    const bool there = ::stat(target(file.name).c_str(), &status) == 0;
    needed += std::max<std::int64_t>(
        0, file.size - (there ? std::int64_t{status.st_blocks} * kBlockBytes : 0));
  }
  struct statvfs room {};
  if (::statvfs(folder_.c_str(), &room) != 0) fail(folder_, "the free space cannot be determined");
  const auto available =
      static_cast<std::int64_t>(room.f_bavail) * static_cast<std::int64_t>(room.f_frsize);
  if (needed > available)
    throw DataError(folder_ + ": " + mebibytes(needed) + " are needed to copy " + source_.folder +
                    ", " + mebibytes(available) +
                    " are free; free some space (older copies in the same folder may be deleted) "
                    "or choose another data.stage_dir");
}

void StagedCopy::prepare() const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw DataError(folder_ + ": cannot be created: " + error.message());
  check_room();
  OutputFile(target(kDigestFile), O_CREAT)
      .resize(parts() * static_cast<std::int64_t>(kDigestBytes));
  std::string made;
  for (const auto& file : source_.files) {
    const auto path = target(file.name);
    const auto parent = fs::path(path).parent_path().string();
    if (parent != made) fs::create_directories(parent, error);
    if (error) throw DataError(parent + ": cannot be created: " + error.message());
    made = parent;
    OutputFile(path, O_CREAT).resize(file.size);
  }
}

StagedCopy::Outcome StagedCopy::bring(std::int64_t number) {
  const auto& part = parts_[static_cast<std::size_t>(number)];
  const auto& file = source_.files[part.file];
  const auto path = target(file.name);
  const auto slot = number * static_cast<std::int64_t>(kDigestBytes);
  buffer_.resize(static_cast<std::size_t>(part.length));
  const auto copied_is = [&](const Digest& wanted) {
    InputFile(path).read(part.offset, buffer_);
    return digest_of(buffer_) == wanted;
  };
  Digest noted{};
  InputFile(target(kDigestFile)).read(slot, noted);
  if (noted != Digest{} && copied_is(noted)) return Outcome::kWasThere;

  const InputFile source((fs::path(source_.folder) / file.name).string());
  if (source.size() != file.size)
    throw DataError(source.path() + ": " + std::to_string(source.size()) + " bytes, " +
                    std::to_string(file.size) +
                    " when the copy began (is it still being written?)");
  source.read(part.offset, buffer_);
  const auto digest = digest_of(buffer_);
  OutputFile(path, 0).write(part.offset, buffer_);
  if (!copied_is(digest))
    throw DataError(path + ": differs from the source at offset " + std::to_string(part.offset) +
                    " (a bad disk?)");
  OutputFile(target(kDigestFile), 0).write(slot, digest);
  return Outcome::kCopied;
}

}  // namespace diffprob::data
