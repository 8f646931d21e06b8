#include "data/sets/verification_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include "data/open_dataset.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::error_of;
using test::number;
using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using std::string_literals::operator""s;

std::string text(const std::string& value) {
  return "X" + number(value.size(), 4) + value;
}
std::string raw(const std::string& value) {
  return "B" + number(value.size(), 4) + value;
}

/// numpy.dtype(name) with its state, protocol 2.
std::string dtype(const std::string& name) {
  return "cnumpy\ndtype\n" + text(name) + "\x89\x88\x87R(K\x03" + text("|") +
         "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"s;
}

/// A numpy array as NumPy before 2 pickles it; `shape` is the opcodes of the tuple.
std::string array(const std::string& type, const std::string& shape, const std::string& data) {
  return "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"s + raw("b") +
         "\x87R(K\x01" + shape + dtype(type) + "\x89" + raw(data) + "tb";
}

std::string pickle_of(const std::string& images, const std::string& flags) {
  return "\x80\x02](" + images + "e" + flags + "\x86.";
}

std::vector<std::string> images_of(const VerificationSet& set) {
  std::vector<std::string> out;
  for (const auto& image : set.images) out.push_back(test::text_of(image));
  return out;
}

class VerificationSetTest : public ::testing::Test {
 protected:
  VerificationSet read(const std::string& content) {
    test::write_file(folder_ / "lfw.bin", content);
    return read_verification_bin(folder_ / "lfw.bin");
  }
  std::string read_error(const std::string& content) {
    return error_of([&] { static_cast<void>(read(content)); });
  }
  TemporaryFolder folder_;
};

const std::string kTwoImages =
    "U\x02"
    "abU\x01"
    "c";
const std::string kOneFlag =
    "](\x88"
    "e";

TEST_F(VerificationSetTest, Python2Strings) {
  const auto set = read(
      "\x80\x02]q\x01(U\x02\xff\xd8q\x02T\x03\0\0\0abcq\x03h\x02h\x03"
      "e](\x88\x89"
      "e\x86."s);
  EXPECT_EQ(set.name, "lfw");
  EXPECT_EQ(set.pairs(), 2);
  EXPECT_THAT(images_of(set), ::testing::ElementsAre("\xff\xd8", "abc", "\xff\xd8", "abc"));
  EXPECT_THAT(set.same, ::testing::ElementsAre(true, false));
}

TEST_F(VerificationSetTest, NumpyArraysAndFlags) {
  const auto column = array("u1", "K\x03K\x01\x86", "xyz");
  const auto row = array("|u1", "K\x02\x85", "\xff\xd8");
  const auto flags = array("b1", "K\x01\x85", "\x01");
  const auto set = read(pickle_of(column + row, flags));
  EXPECT_THAT(images_of(set), ::testing::ElementsAre("xyz", "\xff\xd8"));
  EXPECT_THAT(set.same, ::testing::ElementsAre(true));
}

TEST_F(VerificationSetTest, NumpyBoolItems) {
  const auto item = [](const std::string& byte) {
    return "cnumpy._core.multiarray\nscalar\n" + dtype("b1") + raw(byte) + "\x86R";
  };
  const auto set =
      read(pickle_of(kTwoImages + kTwoImages, "](" + item("\x01") + item("\0"s) + "e"));
  EXPECT_THAT(set.same, ::testing::ElementsAre(true, false));
  EXPECT_THAT(read_error(pickle_of(kTwoImages, "](" + item("\x02") + "e")),
              HasSubstr("same / not same"));
  EXPECT_THAT(read_error(pickle_of(kTwoImages, "](" + item("ab") + "e")),
              HasSubstr("a numpy scalar of 2 bytes, expected 1"));
}

TEST_F(VerificationSetTest, Latin1Text) {
  const auto call = [](const std::string& utf8, const std::string& encoding) {
    return "c_codecs\nencode\n" + text(utf8) + text(encoding) + "\x86R";
  };
  const auto set = read(pickle_of(call("\xc3\xbf\xc3\x98"
                                       "a\xc2\x80",
                                       "latin1") +
                                      call("b", "latin1"),
                                  kOneFlag));
  EXPECT_THAT(images_of(set), ::testing::ElementsAre("\xff\xd8"
                                                     "a\x80",
                                                     "b"));
  for (const auto* bad : {"\xc4\x80", "\xc3", "\xff", "\xe2\x82\xac",
                          "\xc3"
                          "a"})
    EXPECT_THAT(read_error(pickle_of(call(bad, "latin1") + call("b", "latin1"), kOneFlag)),
                HasSubstr("above 255"));
  EXPECT_THAT(read_error(pickle_of(call("a", "utf-8") + call("b", "latin1"), kOneFlag)),
              HasSubstr("latin1"));
}

/// As Python 2's default, protocol 0.
TEST_F(VerificationSetTest, Protocol0) {
  const auto content =
      "((lp0\nS'\\xff\\xd8\\n'\np1\naVc\np2\nac_codecs\nencode\n(V\xff\n"
      "Vlatin1\ntRac__builtin__\nbytearray\n(Vd\nVlatin-1\ntRa(I01\nF0.0\nltp3\n."s;
  const auto set = read(content);
  EXPECT_THAT(images_of(set), ::testing::ElementsAre("\xff\xd8\n", "c", "\xff", "d"));
  EXPECT_THAT(set.same, ::testing::ElementsAre(true, false));
  for (std::size_t length = 0; length < content.size(); ++length)
    EXPECT_THAT(read_error(content.substr(0, length)), HasSubstr("lfw.bin")) << length;
}

TEST_F(VerificationSetTest, FlagsOfNumbersAreOnlyZeroOrOne) {
  const auto half = "G\x3f\xe0"s + std::string(6, '\0');
  EXPECT_THAT(read_error(pickle_of(kTwoImages, "](" + half + "e")), HasSubstr("same / not same"));
  const auto big = "cnumpy\ndtype\n" + text("i8") + "\x89\x88\x87R(K\x03" + text(">") +
                   "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"s;
  EXPECT_THAT(read_error(pickle_of(kTwoImages, "](cnumpy.core.multiarray\nscalar\n" + big +
                                                   raw(std::string(8, '\0')) + "\x86Re")),
              HasSubstr("big-endian"));
  EXPECT_THAT(read_error(pickle_of(kTwoImages, "](" + text("True") + "e")),
              HasSubstr("expected int, found str"));
}

TEST_F(VerificationSetTest, WrongContentIsNamed) {
  EXPECT_THAT(read_error("\x80\x02N."), HasSubstr("expected list or tuple"));
  EXPECT_THAT(read_error(pickle_of(kTwoImages,
                                   "](\x88\x88"
                                   "e")),
              HasSubstr("2 images for 2 pairs"));
  EXPECT_THAT(read_error(pickle_of("", "]")), HasSubstr("no pairs"));
  EXPECT_THAT(read_error(pickle_of("U\0U\x01"
                                   "a"s,
                                   kOneFlag)),
              HasSubstr("without bytes"));
  EXPECT_THAT(read_error(pickle_of("K\x01K\x01", kOneFlag)), HasSubstr("found int"));
  EXPECT_THAT(read_error(pickle_of(kTwoImages,
                                   "](K\x02"
                                   "e")),
              HasSubstr("same / not same"));
  EXPECT_THAT(read_error(pickle_of(kTwoImages, kOneFlag) + "x"), HasSubstr("1 extra bytes after"));
  const auto with_shape = [](const std::string& shape) {
    return pickle_of(array("u1", shape, "xyz") +
                         "U\x01"
                         "a",
                     kOneFlag);
  };
  EXPECT_THAT(read_error(with_shape("K\x04\x85")), HasSubstr("4 elements"));
  EXPECT_THAT(read_error(with_shape(")")), HasSubstr("0 elements"));
  EXPECT_THAT(read_error(with_shape("J\xff\xff\xff\xff\x85")), HasSubstr("elements"));
  EXPECT_THAT(read_error(with_shape("K\x03K\x03\x86")), HasSubstr("one-dimensional"));
  EXPECT_THAT(read_error(pickle_of(array("f4", "K\x03\x85", "xyz") + "U\x01"
                                                                     "a",
                                   kOneFlag)),
              HasSubstr("f4"));
  EXPECT_THAT(read_error(pickle_of("c_codecs\nencode\nU\x01z"s, kOneFlag)),
              HasSubstr("_codecs.encode"));
  EXPECT_THROW(static_cast<void>(read_verification_bin(folder_ / "absent.bin")), DataError);
}

TEST_F(VerificationSetTest, MaliciousPickleIsRefused) {
  EXPECT_THAT(read_error("\x80\x02"
                         "cos\nsystem\nU\x04"
                         "true\x85R."),
              AllOf(HasSubstr("lfw.bin"), HasSubstr("os.system")));
  EXPECT_THAT(read_error("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."),
              HasSubstr("posix.system"));
}

TEST_F(VerificationSetTest, RepetitionIsBounded) {  // a small file that names one image very often
  std::string images = "B" + number(1 << 16, 4) + std::string(1 << 16, 'x') + "q\x00"s;
  for (int i = 1; i < 20000; ++i) images += "h\x00"s;
  EXPECT_THAT(read_error(pickle_of(images, "](" + std::string(10000, '\x88') + "e")),
              HasSubstr("are repeated too often"));
}

TEST_F(VerificationSetTest, WriterGoesThereAndBack) {
  VerificationSet set;
  set.name = "pairs";
  for (const auto& content :
       {"a"s, std::string(255, 'b'), std::string(256, '\xff'), std::string(70000, '\n')})
    set.images.push_back(test::bytes_of(content));
  set.same = {false, true};
  const auto path = folder_ / "pairs.bin";
  write_verification_bin(path, set);
  const auto back = read_verification_bin(path);
  EXPECT_EQ(back.name, set.name);
  EXPECT_EQ(back.images, set.images);
  EXPECT_EQ(back.same, set.same);
  EXPECT_EQ(test::read_file(path).substr(0, 8),
            "\x80\x02](U\x01"
            "aU");
  set.same.push_back(true);
  EXPECT_THROW(write_verification_bin(path, set), DataError);
  EXPECT_EQ(read_verification_bin(path).images, set.images);  // the old file stands
}

/// A file of every item kind, small enough to damage each byte.
std::string mixed_file() {
  return "\x80\x02]q\x05(U\x02\xff\xd8q\x06"s + array("u1", "K\x03K\x01\x86", "xyz") + "h\x06" +
         raw("abc") + "c_codecs\nencode\n" + text("\xc3\xbf") + text("latin1") + "\x86R" +
         array("u1", "K\x02\x85", "\xff\xd8") + "e" +
         "](\x88\x89"
         "cnumpy.core.multiarray\nscalar\n" +
         dtype("b1") + raw("\x01") +
         "\x86R"
         "e\x86.";
}

TEST_F(VerificationSetTest, EveryTruncationIsAnError) {
  const auto content = mixed_file();
  EXPECT_EQ(read(content).pairs(), 3);
  for (std::size_t length = 0; length < content.size(); ++length)
    EXPECT_THAT(read_error(content.substr(0, length)), HasSubstr("lfw.bin")) << length;
}

/// An allocation by a flipped length (up to 2^64) throws bad_alloc here, which fails the test.
/// Sanitizers map terabytes of their own and report such an allocation themselves.
class TightMemory {
 public:
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  TightMemory() = default;
#else
  TightMemory() {
    rlimit tight = old_;
    tight.rlim_cur = std::size_t{1} << 30;
    EXPECT_EQ(::setrlimit(RLIMIT_DATA, &tight), 0);
  }
  ~TightMemory() {
    EXPECT_EQ(::setrlimit(RLIMIT_DATA, &old_), 0);
  }

 private:
  static rlimit current() {
    rlimit limit{};
    EXPECT_EQ(::getrlimit(RLIMIT_DATA, &limit), 0);
    return limit;
  }
  rlimit old_ = current();
#endif
};

TEST_F(VerificationSetTest, ByteFlipsNeitherCrashNorTakeMuchMemory) {
  const auto content = mixed_file();
  [[maybe_unused]] const TightMemory tight;
  int errors = 0;
  for (std::size_t at = 0; at < content.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x28, 0x2e, 0x42, 0x63, 0x7f, 0x80, 0x8e, 0xff,
                            content[at] ^ 1, content[at] ^ 0x20}) {
      auto damaged = content;
      damaged[at] = static_cast<char>(value);
      try {
        EXPECT_EQ(read(damaged).pairs() * 2,
                  static_cast<std::int64_t>(read(damaged).images.size()));
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("lfw.bin"));
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, static_cast<int>(content.size()));
}

TEST_F(VerificationSetTest, ItsImagesAreADataSetInItsOrder) {
  VerificationSet set;
  set.images = {{std::byte{1}}, {std::byte{2}}, {std::byte{1}}, {std::byte{3}}};
  set.same = {true, false};
  write_verification_bin(folder_ / "lfw.bin", set);

  const auto images = open_dataset(folder_ / "lfw.bin");
  std::vector<std::byte> bytes;
  images->read(3, bytes);

  EXPECT_EQ(bytes, set.images[3]);
  EXPECT_EQ(images->size(), 4);
  EXPECT_EQ(images->num_classes(), 4);
  EXPECT_EQ(images->label(2), 2);
  EXPECT_EQ(images->describe(3), "lfw image 3 (pair 1)");
  EXPECT_THAT(error_of([&] { images->read(4, bytes); }), HasSubstr("lfw: image 4 of 4"));
  const std::string before = images->fingerprint();
  set.images[1] = {std::byte{9}};
  write_verification_bin(folder_ / "lfw.bin", set);
  EXPECT_NE(open_dataset(folder_ / "lfw.bin")->fingerprint(), before);
}

}  // namespace
}  // namespace diffprob::data
