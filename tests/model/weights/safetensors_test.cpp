// Safetensors files: round trips, filters, and files that lie.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "model/weights/little_endian.h"
#include "model/weights/weights.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

using ::testing::HasSubstr;

StateDict small_state_dict() {
  return {{"count", at::full({}, -(std::int64_t{1} << 40), at::kLong)},
          {"fc.weight", at::arange(6, at::kFloat).view({2, 3}) / 7},
          {"fc.bias", at::arange(2, at::kDouble)},
          {"half", at::arange(5, at::kFloat).to(at::kHalf)},
          {"brain", at::arange(5, at::kFloat).to(at::kBFloat16)},
          {"turned", at::arange(12, at::kFloat).view({3, 4}).t()},
          {"flag", at::arange(3, at::kInt) > 1},
          {"empty", at::zeros({0, 4})}};
}

class Safetensors : public ::testing::Test {
 protected:
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void write(const std::string& header, std::size_t data_bytes) const {
    std::string length;
    append_little_endian(length, std::uint64_t{header.size()});
    write(length + header + std::string(data_bytes, '\1'));
  }
  [[nodiscard]] std::string error() const {
    try {
      (void)read_pth(path_);
    } catch (const data::DataError& error) {
      return error.what();
    }
    return "no error";
  }

  tests::ScratchFolder folder_;
  std::string path_ = folder_.file("w.safetensors");
};

TEST_F(Safetensors, ComeBackAsTheyWereWritten) {
  const StateDict entries = small_state_dict();
  const WrittenFile written = write_safetensors(path_, entries);

  const StateDict found = read_weight_entries(path_);

  EXPECT_EQ(written.bytes, static_cast<std::int64_t>(std::filesystem::file_size(path_)));
  ASSERT_EQ(found.size(), entries.size());
  for (const auto& [name, tensor] : entries) {
    const auto same = std::find_if(found.begin(), found.end(),
                                   [&](const auto& item) { return item.first == name; });
    ASSERT_NE(same, found.end()) << name;
    EXPECT_EQ(same->second.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(same->second, tensor)) << name;
  }
}

TEST_F(Safetensors, EntriesThatAreNotWantedAreSkipped) {
  write_safetensors(path_, small_state_dict());
  const auto found = read_weight_entries(path_, [](const auto& name) { return name == "half"; });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].first, "half");
}

TEST_F(Safetensors, TypesThatTheFormLacksAreErrorsAndLeaveNoFile) {
  EXPECT_THROW(write_safetensors(path_, {{"x", at::zeros({2}, at::kComplexFloat)}}), c10::Error);
  EXPECT_THROW(write_safetensors(path_, {{"x", at::zeros({2})}, {"x", at::zeros({2})}}),
               c10::Error);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Safetensors, TruncatedFilesAreErrorsAtEveryLength) {
  write_safetensors(path_, small_state_dict());
  std::ifstream file(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write(whole.substr(0, length));
    EXPECT_THROW((void)read_pth(path_), data::DataError) << length;
  }
}

TEST_F(Safetensors, HostileHeadersAreErrors) {
  const std::string x = R"({"x":{"dtype":"F32","shape":)";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "no error"},
      {x + R"([3],"data_offsets":[0,8]}})", "do not make up its 8 bytes"},
      {x + R"([2],"data_offsets":[1,8]}})", "expected bytes from 0"},
      {x + R"([2],"data_offsets":[0,9]}})", "at most to 8"},
      {x + R"([2],"data_offsets":[8,0]}})", "expected bytes from 0"},
      {x + R"([1],"data_offsets":[0,4]}})", "have 4 bytes, but 8 follow"},
      {x + R"([2],"data_offsets":[0,18446744073709551615]}})", "at most to 8"},
      {x + R"([4611686018427387904,8],"data_offsets":[0,8]}})", "do not make up"},
      {x + R"([18446744073709551615,2],"data_offsets":[0,8]}})", "do not make up"},
      {x + R"([-2],"data_offsets":[0,8]}})", "a negative number"},
      {x + R"([2.0],"data_offsets":[0,8]}})", "a fraction"},
      {x + R"([[2]],"data_offsets":[0,8]}})", "a list"},
      {x + R"([2],"data_offsets":[0]}})", "two data_offsets"},
      {R"({"x":{"dtype":"F32","data_offsets":[0,8]}})", "expected dtype, shape"},
      {R"({"x":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", "unsupported type F8_E4M3"},
      {R"({"x":{"dtype":7,"shape":[8],"data_offsets":[0,8]}})", "a number"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"y":{}}})", "an object"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "entry y"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "the name x twice"},
      {R"({"x":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}})", "no error"},
      {"{\"x\":", "no JSON"},
      {"{{{{{{{{", "no JSON"},
      {R"({"__metadata__":{"format":"pt"}})", "but 8 follow"},
      {"{" + std::string(100000, '['), "no JSON"},
  };
  for (const auto& [header, wanted] : cases) {
    write(header, 8);
    const std::string found = error();
    EXPECT_THAT(found, HasSubstr(wanted)) << header.substr(0, 200);
    EXPECT_TRUE(found == "no error" || found.find(path_) != std::string::npos) << found;
  }
}

TEST_F(Safetensors, ABoolIsZeroOrOne) {
  std::string length;
  const std::string header = R"({"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})";
  append_little_endian(length, std::uint64_t{header.size()});
  write(length + header + "\2");
  EXPECT_THAT(error(), HasSubstr("a bool that is neither 0 nor 1"));
}

}  // namespace
}  // namespace diffprob::model
