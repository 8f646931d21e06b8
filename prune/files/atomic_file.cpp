#include "prune/files/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw PruneError(path + ": cannot " + what + ": " + std::strerror(errno));
}

void sync_path(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags);
  if (descriptor < 0) fail(path, "open to sync");
  const bool synced = ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (!synced) fail(path, "sync");
}

}  // namespace

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(path_ + ".tmp." + std::to_string(::getpid())) {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  sync_path(temporary_, O_RDONLY);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail(path_, "rename the finished file to");
  committed_ = true;
  const std::string folder = std::filesystem::path(path_).parent_path();
  sync_path(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
}

void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  std::ofstream out(file.temporary(), std::ios::binary);
  if (!out) fail(file.temporary(), "create");
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) fail(file.temporary(), "write");
  file.commit();
}

std::string read_text_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) fail(path, "open");
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) fail(path, "read");
  return std::move(text).str();
}

}  // namespace diffprob::prune
