#include <fstream>
#include <limits>

#include <caffe2/serialize/inline_container.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "model/networks/backbone.h"
#include "model/weights/stored_zip.h"
#include "model/weights/weights.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

StateDict small_state_dict() {
  return {{"fc.weight", at::arange(6, at::kFloat).view({2, 3}) / 7},
          {"fc.bias", at::arange(2, at::kDouble)},
          {"half", at::arange(5, at::kFloat).to(at::kHalf)},
          {"brain", at::arange(5, at::kFloat).to(at::kBFloat16)},
          {"count", at::full({}, -(std::int64_t{1} << 40), at::kLong)},
          {"int32", at::arange(-2, 3, at::kInt)},
          {"uint8", at::arange(250, 256, at::kInt).to(at::kByte)},
          {"flag", at::arange(4, at::kInt) > 1},
          {"empty", at::zeros({0, 4})}};
}

bool same(const StateDict& a, const StateDict& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.scalar_type() == y.second.scalar_type() &&
           at::equal(x.second, y.second);
  });
}

class Weights : public ::testing::Test {
 protected:
  /// Message of the DataError that reading `path` must end in.
  std::string error_of(const std::string& path) const {
    try {
      (void)read_pth(path);
    } catch (const data::DataError& error) {
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }
  tests::ScratchFolder folder_;
  std::string path_ = folder_.file("w.pth");
};

TEST_F(Weights, ComeBackAsTheyWereWritten) {
  StateDict entries = small_state_dict();
  entries.emplace_back("turned", at::arange(12, at::kFloat).view({3, 4}).t());
  entries.emplace_back("channels_last",
                       at::rand({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast));

  write_pth(path_, entries);

  EXPECT_TRUE(same(read_pth(path_), entries));
}

TEST_F(Weights, SameEntriesGiveTheSameBytesAndNothingIsLeftBeside) {
  write_pth(path_, small_state_dict());
  write_pth(folder_.file("again.pth"), small_state_dict());

  EXPECT_EQ(read_bytes(path_), read_bytes(folder_.file("again.pth")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 2);
  EXPECT_THROW(write_pth(folder_.file("no/such/folder/w.pth"), small_state_dict()),
               data::DataError);
}

/// Entries cut into `count` parts between rows; those without rows are one part.
std::vector<WeightEntry> in_parts(const StateDict& entries, std::int64_t count) {
  std::vector<WeightEntry> cut;
  for (const auto& [name, tensor] : entries) {
    const bool has_rows = tensor.dim() > 0 && tensor.size(0) > 0;
    cut.push_back({name, tensor.sizes().vec(), tensor.scalar_type(),
                   has_rows ? tensor.chunk(count) : std::vector<at::Tensor>{tensor}});
  }
  return cut;
}

TEST_F(Weights, InPartsGiveTheSameFile) {
  StateDict entries = small_state_dict();
  entries.emplace_back("turned", at::arange(35, at::kFloat).view({5, 7}).t());
  entries.emplace_back("channels_last",
                       at::rand({5, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast));
  const WrittenFile whole = write_pth(path_, entries);

  for (const std::int64_t count : {2, 3, 100}) {
    const WrittenFile cut = write_pth(folder_.file("cut.pth"), in_parts(entries, count));
    EXPECT_TRUE(read_bytes(folder_.file("cut.pth")) == read_bytes(path_)) << count;
    EXPECT_EQ(cut.sha256, whole.sha256);
    EXPECT_EQ(cut.bytes, whole.bytes);
  }
}

TEST_F(Weights, PartsThatDoNotMakeUpTheirEntryAreErrorsAndLeaveNoFile) {
  const at::Tensor part = at::ones({2, 3});
  const std::vector<std::vector<at::Tensor>> wrong = {
      {}, {part}, {part, part, part}, {part, part.to(at::kDouble)}};
  for (const auto& parts : wrong) {
    EXPECT_THROW(write_pth(path_, std::vector<WeightEntry>{{"fc", {4, 3}, at::kFloat, parts}}),
                 c10::Error)
        << parts.size();
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Weights, GoFromOneNetworkToAnotherWithAndWithoutPrefix) {
  const auto from = make_backbone({.name = "tiny", .embedding_dim = 16, .seed = 1});
  const auto to = make_backbone({.name = "tiny", .embedding_dim = 16, .seed = 2});
  write_pth(path_, state_dict(*from));
  load_state_dict(*to, read_pth(path_));
  EXPECT_TRUE(same(state_dict(*from), state_dict(*to)));

  const auto third = make_backbone({.name = "tiny", .embedding_dim = 16, .seed = 3});
  StateDict prefixed;
  for (const auto& [name, tensor] : state_dict(*from))
    prefixed.emplace_back("module." + name, tensor);
  load_state_dict(*third, prefixed);
  EXPECT_TRUE(same(state_dict(*from), state_dict(*third)));
  EXPECT_FALSE(state_dict(*third)[0].second.is_alias_of(prefixed[0].second));
  EXPECT_TRUE(state_dict(*third)[0].second.requires_grad());
}

TEST_F(Weights, StandBehindAnyPrefixAndBesideAHead) {
  const auto from = make_backbone({.name = "tiny", .embedding_dim = 16, .seed = 1});
  for (const std::string prefix :
       {"net.", "model.", "features.module.", "_orig_mod.", "module.backbone."}) {
    const auto to = make_backbone({.name = "tiny", .embedding_dim = 16, .seed = 2});
    StateDict entries = {{"head.kernel", at::ones({3})}};
    for (const auto& [name, tensor] : state_dict(*from))
      if (!name.ends_with("num_batches_tracked")) entries.emplace_back(prefix + name, tensor);

    const auto others = load_state_dict(*to, entries);

    EXPECT_TRUE(same(state_dict(*from), state_dict(*to))) << prefix;
    EXPECT_EQ(others, std::vector<std::string>{"head.kernel"}) << prefix;
  }
}

TEST_F(Weights, ThatDoNotFitAreListedInFullAndChangeNothing) {
  const auto net = make_backbone({.name = "tiny", .embedding_dim = 16});
  const at::Tensor before = state_dict(*net)[0].second.detach().clone();
  StateDict entries;
  for (const auto& [name, tensor] : state_dict(*net)) {
    if (name != "fc.bias")
      entries.emplace_back(name, name == "bn1.weight" ? at::ones({3}) : tensor.detach() + 1);
  }
  entries.emplace_back("fc.scale", at::ones({2}));
  entries.emplace_back("fc.weight", entries.back().second);
  try {
    load_state_dict(*net, entries);
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("missing: fc.bias [16]"),
                      HasSubstr("wrong shape: bn1.weight: expected [16], found [3]"),
                      HasSubstr("unexpected: fc.scale [2]"), HasSubstr("given twice: fc.weight")));
  }
  EXPECT_TRUE(at::equal(state_dict(*net)[0].second, before));
}

TEST_F(Weights, TruncatedFilesAreErrorsAtEveryLength) {
  write_pth(path_, small_state_dict());
  const std::string whole = read_bytes(path_);

  const std::string cut = folder_.file("cut.pth");
  for (std::size_t length = 0; length < whole.size();
       length += length < 200 || length + 600 > whole.size() ? 1 : 7) {
    write_bytes(cut, whole.substr(0, length));
    EXPECT_THROW((void)read_pth(cut), data::DataError) << "length " << length;
  }
}

TEST_F(Weights, DamagedBytesAreErrorsOrChangeNothing) {
  write_pth(path_, small_state_dict());
  const std::string whole = read_bytes(path_);

  std::size_t errors = 0, unchanged = 0;
  const std::string damaged = folder_.file("damaged.pth");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      write_bytes(damaged, bytes);
      try {
        EXPECT_TRUE(same(read_pth(damaged), small_state_dict()))
            << "byte " << i << " mask " << mask;
        ++unchanged;
      } catch (const data::DataError&) {
        ++errors;
      }
    }
  }
  std::printf("%zu bytes: %zu damages found, %zu without effect\n", whole.size(), errors,
              unchanged);
  EXPECT_GT(errors, whole.size() / 4);
}

/// A hand-made file of one float32 entry "x" with a storage of `stored` elements (0, 1, 2 ...).
struct Forged {
  std::int64_t claimed = 6;  ///< elements of the storage, as the pickle has it
  std::int64_t offset = 0;
  std::vector<std::int64_t> sizes = {2, 3};
  std::vector<std::int64_t> strides = {3, 1};
  std::string storage_class = "torch\nFloatStorage\n";
  std::string key = "0";
  std::string function = "torch._utils\n_rebuild_tensor_v2\n";
  std::int64_t stored = 6;
  bool twice = false;
};

std::string pickled(std::int64_t value) {
  std::string text = "\x8a\x08";
  for (int i = 0; i < 8; ++i)
    text += static_cast<char>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xff);
  return text;
}

std::string pickled(const std::string& value) {
  return std::string("X") + static_cast<char>(value.size()) + std::string(3, '\0') + value;
}

std::string pickled(const std::vector<std::int64_t>& values) {
  std::string text = "(";
  for (const std::int64_t value : values) text += pickled(value);
  return text + "t";
}

void write_archive(const std::string& path, const std::string& pickle, std::int64_t stored) {
  const at::Tensor values = at::arange(stored, at::kFloat);
  caffe2::serialize::PyTorchStreamWriter zip(path);
  zip.writeRecord("data.pkl", pickle.data(), pickle.size());
  zip.writeRecord("data/0", values.data_ptr(), values.nbytes());
  zip.writeEndOfFile();
}

void write_forged(const std::string& path, const Forged& file) {
  const std::string entry = pickled("x") + "c" + file.function + "((" + pickled("storage") + "c" +
                            file.storage_class + pickled(file.key) + pickled("cpu") +
                            pickled(file.claimed) + "tQ" + pickled(file.offset) +
                            pickled(file.sizes) + pickled(file.strides) + "\x89}tR";
  write_archive(path, "\x80\x02}(" + entry + (file.twice ? entry : "") + "u.", file.stored);
}

TEST_F(Weights, ViewsOfForeignFilesAreReadAsTheyAre) {
  write_forged(path_, Forged{.offset = 1, .sizes = {2, 2}, .strides = {1, 3}});
  EXPECT_TRUE(
      at::equal(read_pth(path_).at(0).second, at::tensor({1.f, 4.f, 2.f, 5.f}).view({2, 2})));
  write_forged(path_, Forged{.offset = 6, .sizes = {0, 7}, .strides = {7, 1}});
  EXPECT_EQ(read_pth(path_).at(0).second.numel(), 0);
}

TEST_F(Weights, HostileFilesAreErrors) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  const std::vector<std::pair<Forged, std::string>> cases = {
      {{.offset = 1}, "extends beyond its storage"},
      {{.offset = -1}, "extends beyond its storage"},
      {{.offset = kHuge}, "extends beyond its storage"},
      {{.offset = 7, .sizes = {0, 3}}, "extends beyond its storage"},
      {{.strides = {4, 1}}, "extends beyond its storage"},
      {{.strides = {kHuge, kHuge}}, "extends beyond its storage"},
      {{.sizes = {kHuge, 3}, .strides = {0, 1}}, "extends beyond its storage"},
      {{.sizes = {kHuge / 4}, .strides = {0}}, "extends beyond its storage"},
      {{.sizes = {1LL << 40, 1LL << 40}, .strides = {0, 0}}, "extends beyond its storage"},
      {{.strides = {-3, 1}}, "at least 0"},
      {{.sizes = {-2, 3}}, "at least 0"},
      {{.sizes = {6}}, "1 sizes but 2 strides"},
      {{.sizes = std::vector<std::int64_t>(100, 1), .strides = std::vector<std::int64_t>(100, 1)},
       "100 dimensions"},
      {{.claimed = 7}, "expected 7 elements"},
      {{.claimed = -1}, "expected -1 elements"},
      {{.claimed = kHuge}, "expected 9223372036854775807 elements"},
      {{.storage_class = "torch\nDoubleStorage\n"}, "expected 6 elements of 8 bytes"},
      {{.key = "1"}, "no record"},
      {{.key = "../data.pkl"}, "no record"},
      {{.storage_class = "posix\nsystem\n"}, "posix.system"},
      {{.function = "os\nsystem\n"}, "os.system"},
      {{.function = "collections\nOrderedDict\n"}, "expected a tensor"},
      {{.twice = true}, "twice"},
  };
  for (const auto& [file, wanted] : cases) {
    write_forged(path_, file);
    EXPECT_THAT(error_of(path_), AllOf(HasSubstr(path_), HasSubstr(wanted)));
  }
}

TEST_F(Weights, FilesOfOtherKindsAreNamed) {
  write_bytes(path_, "");
  EXPECT_THAT(error_of(path_), HasSubstr("found 0 bytes"));
  write_bytes(path_, std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15));
  EXPECT_THAT(error_of(path_), HasSubstr("(version)"));
  write_bytes(path_, "\x80\x02]q\x01.");
  EXPECT_THAT(error_of(path_), HasSubstr("a plain pickle that torch.save did not write"));
  write_bytes(path_, "version https://git-lfs.github.com/spec/v1");
  EXPECT_THAT(error_of(path_), HasSubstr("pointer of Git LFS"));
  write_bytes(path_, "some other text, which is no archive");
  EXPECT_THAT(error_of(path_), HasSubstr("expected a weight file"));
  write_archive(path_,
                "\x80\x02]q\x01h\x01"
                "a.",
                1);  // a list that holds itself
  EXPECT_THAT(error_of(path_), HasSubstr("expected a state dict"));
  EXPECT_THAT(error_of(folder_.file("absent.pth")), HasSubstr("absent.pth"));
}

TEST(Crc32, IsThatOfZip) {
  const std::string text = "123456789";
  EXPECT_EQ(crc32({reinterpret_cast<const std::byte*>(text.data()), text.size()}), 0xCBF43926u);
  EXPECT_EQ(crc32({}), 0u);
}

TEST(Crc32, OfPiecesIsThatOfTheWhole) {
  std::vector<std::byte> bytes(100);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i + 3 * i);
  const std::span<const std::byte> whole(bytes);

  std::uint32_t byte_by_byte = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(crc32(whole.first(i)), byte_by_byte) << i;
    EXPECT_EQ(crc32(whole.subspan(i), crc32(whole.first(i))), crc32(whole)) << i;
    byte_by_byte = crc32(whole.subspan(i, 1), byte_by_byte);
  }
}

}  // namespace
}  // namespace diffprob::model
