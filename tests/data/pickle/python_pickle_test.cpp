#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/sets/verification_set.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::TemporaryFolder;

constexpr const char* kWriter = R"(
import pickle, sys
folder, kinds = sys.argv[1], sys.argv[2]
images = [bytes((i * 37 + j * 11) % 256 for j in range(1 + i * 100)) for i in range(8)]
same = [True, False, False, True]
if kinds == 'bytes':
    forms = {'bytes': (images, same), 'many': (images * 1000, same * 1000), 'list': [images, same], 'tuples': (tuple(images), tuple(same)),
             'bytearrays': ([bytearray(i) for i in images], same), 'floats': (images, [float(s) for s in same]), 'ints': [images, tuple(int(s) for s in same)]}
else:
    import numpy as np
    flat = [np.frombuffer(i, np.uint8) for i in images]
    own = [f.copy() for f in flat]
    column = [f.reshape(-1, 1) for f in own]
    forms = {'flat': (flat, same), 'own': (own, same), 'column': (column, same), 'fortran': ([np.asfortranarray(c) for c in column], same),
             'boolarray': (images, np.array(same)), 'boolitems': (column, list(np.array(same))), 'mixed': (images[:4] + column[4:], [True, np.bool_(False), 0, 1]),
             'intarray': [images, np.array(same, np.int64)], 'floatarray': (tuple(flat), np.array(same, np.float32)), 'flagcolumn': (images, np.array(same, np.int32)[:, None]),
             'intitems': (images, [np.int64(s) for s in same]), 'floatitems': (images, [np.float64(s) for s in same]),
             'objects': (np.array(images, object), np.array(same, object))}
for name, value in forms.items():
    for protocol in range(6):
        with open(f'{folder}/{name}{protocol}.bin', 'wb') as f:
            pickle.dump(value, f, protocol)
)";

constexpr const char* kReader = R"(
import pickle, sys
with open(sys.argv[1], 'rb') as f:
    bins, issame = pickle.load(f, encoding='bytes')
assert bins == [b'a', b'\xff' * 300], bins
assert issame == [True] and issame[0] is True
)";

class PythonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* python = std::getenv("DIFFPROB_PYTHON");
    if (python == nullptr || *python == '\0')
      GTEST_SKIP() << "DIFFPROB_PYTHON is not set: no Python to write pickles with";
    python_ = python;
  }
  bool run(const std::string& script, const std::string& arguments) const {
    test::write_file(folder_ / "script.py", script);
    return std::system(
               ("'" + python_ + "' '" + (folder_ / "script.py") + "' " + arguments).c_str()) == 0;
  }
  void expect_forms(const std::vector<std::string>& forms) const {
    for (const auto& form : forms) {
      for (int protocol = 0; protocol <= 5; ++protocol) {
        const auto name = form + std::to_string(protocol);
        const auto set = read_verification_bin(folder_ / (name + ".bin"));
        const std::int64_t repeats = form == "many" ? 1000 : 1;
        ASSERT_EQ(set.pairs(), 4 * repeats) << name;
        for (std::int64_t i = 0; i < set.pairs(); ++i)
          ASSERT_EQ(set.same[i], i % 4 == 0 || i % 4 == 3) << name;
        for (std::size_t i = 0; i < set.images.size(); ++i) {
          ASSERT_EQ(set.images[i].size(), 1 + i % 8 * 100) << name;
          for (std::size_t j = 0; j < set.images[i].size(); ++j)
            ASSERT_EQ(static_cast<std::size_t>(set.images[i][j]), (i % 8 * 37 + j * 11) % 256)
                << name;
        }
      }
    }
  }
  TemporaryFolder folder_;
  std::string python_;
};

TEST_F(PythonTest, BytesOfProtocols0To5) {
  ASSERT_TRUE(run(kWriter, "'" + folder_.path() + "' bytes"));
  expect_forms({"bytes", "many", "list", "tuples", "bytearrays", "floats", "ints"});
}

TEST_F(PythonTest, NumpyOfProtocols0To5) {
  if (!run("import numpy", "2>/dev/null")) GTEST_SKIP() << "this Python has no numpy";
  ASSERT_TRUE(run(kWriter, "'" + folder_.path() + "' numpy"));
  expect_forms({"flat", "own", "column", "fortran", "boolarray", "boolitems", "mixed", "intarray",
                "floatarray", "flagcolumn", "intitems", "floatitems", "objects"});
}

TEST_F(PythonTest, ReadsWhatWeWrite) {
  VerificationSet set;
  set.images = {test::bytes_of("a"), test::bytes_of(std::string(300, '\xff'))};
  set.same = {true};
  write_verification_bin(folder_ / "ours.bin", set);
  EXPECT_TRUE(run(kReader, "'" + (folder_ / "ours.bin") + "'"));
}

TEST_F(PythonTest, MaliciousPickleOfPythonIsRefusedAndNotRun) {
  const auto mark = folder_ / "mark";
  ASSERT_TRUE(
      run("import os, pickle, sys\n"
          "class Evil:\n"
          "    def __reduce__(self): return (os.system, ('touch ' + sys.argv[2],))\n"
          "for p in range(6): pickle.dump(([Evil()], [True]), "
          "open(f'{sys.argv[1]}/evil{p}.bin', 'wb'), p)\n",
          "'" + folder_.path() + "' '" + mark + "'"));
  for (int protocol = 0; protocol <= 5; ++protocol)
    EXPECT_THAT(test::error_of([&] {
                  static_cast<void>(read_verification_bin(
                      folder_ / ("evil" + std::to_string(protocol) + ".bin")));
                }),
                ::testing::HasSubstr(".system is not allowed"));
  EXPECT_FALSE(std::filesystem::exists(mark));
}

}  // namespace
}  // namespace diffprob::data
