#include "model/weights/pth_archive.h"

#include <functional>
#include <random>

#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace diffprob::model {
namespace {

using Bytes = std::span<const std::byte>;

struct Record {
  std::string name;
  Bytes bytes;
};

/// The bytes of a file; of those that lie in `region` the number only.
class Recorder {
 public:
  explicit Recorder(Bytes region = {}) : region_(region) {}
  void add(Bytes bytes) {
    const bool inside = !region_.empty() && bytes.data() >= region_.data() &&
                        bytes.data() < region_.data() + region_.size();
    if (inside) {
      left_out_ += bytes.size();
    } else {
      text_ += told() + std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string told() {
    return left_out_ == 0 ? "" : "[" + std::to_string(std::exchange(left_out_, 0)) + " bytes]";
  }

  Bytes region_;
  std::string text_;
  std::size_t left_out_ = 0;
};

std::string by_libtorch(const std::vector<Record>& records, Bytes region = {}) {
  Recorder file(region);
  caffe2::serialize::PyTorchStreamWriter zip([&](const void* bytes, std::size_t size) {
    file.add({static_cast<const std::byte*>(bytes), size});
    return size;
  });
  zip.writeRecord("byteorder", "little", 6);
  for (const Record& record : records)
    zip.writeRecord(record.name, record.bytes.data(), record.bytes.size());
  zip.writeEndOfFile();
  return file.text();
}

/// `next_piece`: bytes of the piece that follows.
std::string by_us(const std::vector<Record>& records,
                  const std::function<std::size_t()>& next_piece, Bytes region = {}) {
  Recorder file(region);
  PthArchive zip([&](Bytes bytes) { file.add(bytes); });
  zip.write("byteorder", "little");
  for (const Record& record : records) {
    zip.begin(record.name, record.bytes.size());
    for (Bytes rest = record.bytes; !rest.empty();) {
      const std::size_t size = std::min(next_piece(), rest.size());
      zip.append(rest.first(size));
      rest = rest.subspan(size);
    }
    zip.end();
  }
  zip.finish();
  return file.text();
}

std::vector<std::byte> random_bytes(std::size_t size) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(PthArchive, IsThatOfLibTorchByteForByteForAnyPieces) {
  const auto bytes = random_bytes(600'000);
  std::vector<Record> records;
  for (const std::size_t size : {0, 1, 4, 63, 64, 65, 4096, 262'144, 262'145, 600'000}) {
    records.push_back({"data/" + std::to_string(records.size()), Bytes(bytes).first(size)});
  }
  const std::string wanted = by_libtorch(records);

  for (const std::size_t piece : {7, 4096, 262'144, 1'000'000}) {
    EXPECT_TRUE(by_us(records, [&] { return piece; }) == wanted) << piece;
  }
  std::mt19937 random(8);
  EXPECT_TRUE(by_us(records, [&] { return random() % 10'000; }) == wanted);  // some of them empty
}

TEST(PthArchive, IsThatOfLibTorchForMoreRecordsThanSixteenBitsCount) {
  const auto bytes = random_bytes(80);
  std::vector<Record> records;
  for (std::size_t i = 0; i < 66'000; ++i)
    records.push_back({"data/" + std::to_string(i), Bytes(bytes).first(i % 80)});

  EXPECT_TRUE(by_us(records, [] { return std::size_t{100}; }) == by_libtorch(records));
}

TEST(PthArchive, IsThatOfLibTorchBeyondFourGigabytes) {
  constexpr std::size_t kSize = 0xffffffffu;
  void* zeros = ::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                       0);  // takes no memory
  ASSERT_NE(zeros, MAP_FAILED);
  const Bytes region(static_cast<const std::byte*>(zeros), kSize);
  const auto bytes = random_bytes(100);
  const std::vector<Record> records = {{"first", bytes},
                                       {"size_is_wide", region},
                                       {"offset_is_wide", bytes},
                                       {"empty", {}},
                                       {"both_are_wide", region}};

  EXPECT_TRUE(by_us(
                  records, [] { return std::size_t{1} << 28; }, region) ==
              by_libtorch(records, region));
  ::munmap(zeros, kSize);
}

TEST(PthArchive, WrongNumbersOfBytesAreErrors) {
  const auto bytes = random_bytes(10);
  PthArchive zip([](Bytes) {});
  zip.begin("short", 11);
  zip.append(bytes);
  EXPECT_THROW(zip.end(), c10::Error);
  EXPECT_THROW(zip.append(bytes), c10::Error);
}

}  // namespace
}  // namespace diffprob::model
