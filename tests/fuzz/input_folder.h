#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace diffprob::fuzz {

/// A folder of one process in memory (/dev/shm), for readers that want paths.
class InputFolder {
 public:
  InputFolder() {
    std::string name = "/dev/shm/diffprob_fuzz_XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~InputFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  InputFolder(const InputFolder&) = delete;
  InputFolder& operator=(const InputFolder&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// Its whole path.
  std::string put(const std::string& name, std::string_view content) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary)
        .write(content.data(), static_cast<std::streamsize>(content.size()));
    return file;
  }
  void remove(const std::string& name) const { std::filesystem::remove(path_ + "/" + name); }

 private:
  std::string path_;
};

[[nodiscard]] inline InputFolder& input_folder() {
  static InputFolder folder;
  return folder;
}

/// Takes choices from the front of an input; the rest is content.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  /// 0 to count - 1; 0 at the end.
  [[nodiscard]] unsigned choice(unsigned count) {
    return static_cast<unsigned char>(take(1).append(1, '\0').front()) % count;
  }
  /// A piece behind its length of two bytes.
  [[nodiscard]] std::string piece() {
    const std::string length = take(2) + std::string(2, '\0');
    return take(static_cast<unsigned char>(length[0]) +
                256U * static_cast<unsigned char>(length[1]));
  }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

 private:
  std::string take(std::size_t count) {
    const std::string front(rest_.substr(0, count));
    rest_.remove_prefix(front.size());
    return front;
  }

  std::string_view rest_;
};

/// Runs a reader. Errors of the type that it promises are what it is for; they must name the file.
/// Everything else ends the program, which is a finding.
template <class Error, class Reader>
void expect_reads_or(const std::string& named, Reader&& reader) {
  try {
    reader();
  } catch (const Error& error) {
    if (std::string_view(error.what()).find(named) != std::string_view::npos) return;
    std::fprintf(stderr, "the error does not name %s: %s\n", named.c_str(), error.what());
    std::abort();
  }
}

}  // namespace diffprob::fuzz
