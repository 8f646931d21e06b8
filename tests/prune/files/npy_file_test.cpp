// .npy arrays: what numpy writes is read, our own comes back, everything else is refused without
// harm.
#include "prune/files/npy_file.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Bytes of a .npy written out by hand, from numpy's description of the format.
std::string npy(int version, const std::string& dictionary, const std::string& data) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  const std::string header = dictionary + "   \n";
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    bytes += static_cast<char>(header.size() >> (8 * i) & 0xFFU);
  return bytes + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string dictionary(const std::string& descr, const std::string& shape,
                       const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

class NpyFileTest : public ::testing::Test {
 protected:
  std::string refusal(const std::string& bytes) {
    write_bytes(path_, bytes);
    return message_of<PruneError>([&] { NpyFile file(path_); });
  }
  std::vector<std::vector<double>> rows(const std::string& bytes) {
    write_bytes(path_, bytes);
    std::vector<std::vector<double>> all;
    read_npy_rows(path_, [&](std::int64_t row, std::span<const double> values) {
      EXPECT_EQ(row, static_cast<std::int64_t>(all.size()));
      all.emplace_back(values.begin(), values.end());
    });
    return all;
  }
  std::vector<std::int64_t> integers(const std::string& bytes) {
    write_bytes(path_, bytes);
    return NpyFile(path_).integers();
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("a.npy");
};

TEST_F(NpyFileTest, ReadsEveryTypeAndVersion) {
  for (const int version : {1, 2, 3}) {
    EXPECT_THAT(rows(npy(version, dictionary("<f4", "(3,)"), raw<float>({0.25F, 1, 0}))),
                ElementsAre(ElementsAre(0.25, 1, 0)));
    EXPECT_THAT(rows(npy(version, dictionary("<f8", "(2, 2)"), raw<double>({0.1, 0.2, 0.3, 0.4}))),
                ElementsAre(ElementsAre(0.1, 0.2), ElementsAre(0.3, 0.4)));
    EXPECT_THAT(integers(npy(version, dictionary("<i4", "(2,)"), raw<std::int32_t>({-1, 7}))),
                ElementsAre(-1, 7));
    EXPECT_THAT(integers(npy(version, dictionary("<i8", "(2L,)"),
                             raw<std::int64_t>({-1, std::int64_t{1} << 40}))),
                ElementsAre(-1, std::int64_t{1} << 40));
    EXPECT_THAT(integers(npy(version, dictionary("|u1", "(2,)"), "\x01\xff")), ElementsAre(1, 255));
  }
  write_bytes(path_, npy(1, dictionary("|b1", "(3,)"), std::string("\1\0\1", 3)));
  EXPECT_THAT(NpyFile(path_).mask(), ElementsAre(1, 0, 1));
}

TEST_F(NpyFileTest, KeysMayStandInAnyOrderAndQuotes) {
  EXPECT_THAT(integers(npy(1, R"({"shape": ( 1 , ), "fortran_order":False,"descr":'<i4'})",
                           raw<std::int32_t>({5}))),
              ElementsAre(5));
}

TEST_F(NpyFileTest, WhatIsWrittenComesBackAlsoInSeveralBlocks) {
  Draws draws(3);
  std::vector<double> doubles(200000);
  std::vector<float> floats(doubles.size());
  std::vector<std::int64_t> whole(doubles.size());
  std::vector<std::uint8_t> mask(doubles.size());
  for (std::size_t i = 0; i < doubles.size(); ++i) {
    doubles[i] = draws.uniform();
    floats[i] = static_cast<float>(draws.uniform());
    whole[i] = draws.below(std::int64_t{1} << 60);
    mask[i] = static_cast<std::uint8_t>(draws.below(2));
  }
  const std::vector<double> widened(floats.begin(), floats.end());

  write_npy<double>(path_, doubles);
  EXPECT_THAT(rows(read_bytes(path_)), ElementsAre(doubles));
  write_npy<float>(path_, floats);
  EXPECT_THAT(rows(read_bytes(path_)), ElementsAre(widened));
  write_npy<std::int64_t>(path_, whole);
  EXPECT_EQ(NpyFile(path_).integers(), whole);
  write_npy_mask(path_, mask);
  EXPECT_EQ(NpyFile(path_).mask(), mask);
  write_npy<std::int64_t>(path_, {});
  EXPECT_TRUE(NpyFile(path_).integers().empty());
  EXPECT_EQ(folder_.entries(), 1U);
}

TEST_F(NpyFileTest, RowsOfHalvesComeBack) {
  NpyWriter<HalfBits> writer(path_, {2, 3});
  for (const double value : {0.5, -2.0, 65504.0, 0x1p-24, 0.0, 1.0 / 3}) {
    const HalfBits bits = to_half(value);
    writer.append({&bits, 1});
  }
  writer.commit();
  NpyFile file(path_);
  EXPECT_TRUE(file.is_float());
  std::vector<double> row(3);
  file.read_row(1, row);
  EXPECT_THAT(row, ElementsAre(0x1p-24, 0.0, from_half(to_half(1.0 / 3))));
}

TEST_F(NpyFileTest, PiecesMakeTheSameFileAsTheWhole) {
  std::vector<double> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 3;
  write_npy<double>(path_, values);
  const auto whole = read_bytes(path_);
  {
    NpyWriter<double> writer(path_, {1000});
    for (std::size_t begin = 0; begin < values.size();) {
      const std::size_t count = std::min(values.size() - begin, begin / 2 + 1);
      writer.append(std::span(values).subspan(begin, count));
      begin += count;
    }
    writer.commit();
  }
  EXPECT_EQ(read_bytes(path_), whole);

  NpyWriter<double> rows_of_two(path_, {500, 2});
  rows_of_two.append(values);
  rows_of_two.commit();
  EXPECT_EQ(NpyFile(path_).rows(), 500);
  EXPECT_EQ(NpyFile(path_).columns(), 2);

  std::filesystem::remove(path_);
  {
    NpyWriter<double> writer(path_, {1001});
    writer.append(values);
    EXPECT_THROW(writer.commit(), PruneError);
  }
  EXPECT_EQ(folder_.entries(), 0U);
}

TEST_F(NpyFileTest, TheFirstElementIsAligned) {
  for (std::int64_t count = 1; count <= 100000; count *= 10) {
    write_npy<float>(path_, std::vector<float>(static_cast<std::size_t>(count), 1.0F));
    EXPECT_EQ((read_bytes(path_).size() - static_cast<std::size_t>(count) * 4) % 64, 0U);
  }
}

TEST_F(NpyFileTest, RefusesWhatItDoesNotUnderstandAndSaysWhatToDo) {
  const std::string one = raw<float>({1});
  EXPECT_THAT(refusal(npy(1, dictionary("|O", "(1,)"), one)),
              HasSubstr("Python objects (a pickle), which is never loaded"));
  EXPECT_THAT(refusal(npy(1, dictionary("<f4", "(1, 1)", "True"), one)),
              HasSubstr("Fortran order; numpy.save(file, numpy.ascontiguousarray(a))"));
  EXPECT_THAT(
      refusal(npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", one)),
      HasSubstr("array of records"));
  EXPECT_THAT(refusal(npy(1, dictionary(">f4", "(1,)"), one)),
              HasSubstr("type '>f4', expected <f2, <f4"));
  EXPECT_THAT(refusal(npy(1, dictionary("<c8", "(1,)"), one)), HasSubstr("type '<c8'"));
  EXPECT_THAT(refusal(npy(1, dictionary("", "(1,)"), one)), HasSubstr("type ''"));
  EXPECT_THAT(refusal(npy(1, dictionary("<f4", "()"), one)), HasSubstr("0 dimensions"));
  EXPECT_THAT(refusal(npy(1, dictionary("<f4", "(1, 1, 1)"), one)), HasSubstr("3 dimensions"));
  EXPECT_THAT(refusal(npy(4, dictionary("<f4", "(1,)"), one)),
              HasSubstr("format 4.0, but this program reads 1.0, 2.0 and 3.0"));
  EXPECT_THAT(refusal(npy(1, dictionary("<f4", "(2,)"), one)),
              HasSubstr("more elements than the 1 in the file"));
  EXPECT_THAT(refusal(npy(1, dictionary("<f4", "(1,)"), one + "x")), HasSubstr("expected "));
  EXPECT_THAT(refusal("PK\x03\x04 a zip of arrays"), HasSubstr("not a .npy file"));
  EXPECT_THAT(message_of<PruneError>([&] { NpyFile file(folder_.file("none.npy")); }),
              HasSubstr("none.npy: cannot open"));
}

TEST_F(NpyFileTest, RefusesJunkInTheHeader) {
  for (const std::string& text : std::vector<std::string>{
           "", "{", "{}", "{'descr': '<f4'}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + x",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
           "__import__('os').system('true')"}) {
    EXPECT_THAT(refusal(npy(1, text, raw<float>({1}))), HasSubstr("a.npy: .npy header: expected"))
        << text;
  }
}

TEST_F(NpyFileTest, AbsurdLengthsTakeNoMemory) {
  const std::string most = std::to_string(std::numeric_limits<std::int64_t>::max());
  for (const std::string& shape :
       std::vector<std::string>{"(" + most + ",)", "(" + most + ", " + most + ")",
                                "(2, " + most + ")", "(4294967296, 4294967296)"}) {
    EXPECT_THAT(refusal(npy(1, dictionary("<f8", shape), "12345678")),
                HasSubstr("more elements than"))
        << shape;
  }
  for (const std::string& shape :
       std::vector<std::string>{"(0, " + most + ")", "(" + most + ", 0)", "(0,)", "(0, 0)"}) {
    write_bytes(path_, npy(1, dictionary("<f8", shape), ""));
    EXPECT_THROW(read_npy_rows(path_, [](std::int64_t, std::span<const double>) {}), PruneError)
        << shape;
  }
  EXPECT_THAT(refusal(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{", 13)),
              HasSubstr("truncated: a header of 4294967295 bytes"));
}

TEST_F(NpyFileTest, EveryTruncationIsRefused) {
  for (const int version : {1, 2}) {
    const std::string whole =
        npy(version, dictionary("<f4", "(5,)"), raw<float>({1, 0, 0.5F, 0.25F, 1}));
    for (std::size_t length = 0; length < whole.size(); ++length)
      EXPECT_NE(refusal(whole.substr(0, length)), "") << length;
    EXPECT_EQ(refusal(whole), "");
  }
}

TEST_F(NpyFileTest, EveryDamagedByteOfTheHeaderIsRefusedOrHarmless) {
  const std::string whole = npy(1, dictionary("<i4", "(5,)"), raw<std::int32_t>({1, 2, 3, 4, 5}));
  int refused = 0;
  for (std::size_t at = 0; at < whole.size() - 20; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(value);
      write_bytes(path_, damaged);
      try {
        NpyFile file(path_);
        std::vector<double> row(static_cast<std::size_t>(file.columns()));
        file.read_row(0, row);
        EXPECT_EQ(
            row.size() *
                (file.type() == NpyType::kFloat64 || file.type() == NpyType::kInt64 ? 8U : 4U),
            20U);
      } catch (const PruneError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 5000);
}

TEST_F(NpyFileTest, BadScoresAndMasksAreNamed) {
  write_bytes(path_, npy(1, dictionary("<f4", "(2, 2)"), raw<float>({0, 1, 0.5F, std::nanf("")})));
  EXPECT_THAT(message_of<PruneError>(
                  [&] { read_npy_rows(path_, [](std::int64_t, std::span<const double>) {}); }),
              HasSubstr("row 1: the score of sample 1 is NaN"));
  write_bytes(path_, npy(1, dictionary("|u1", "(2,)"), "\x01\x02"));
  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(NpyFile(path_).mask()); }),
              HasSubstr("element 1 is 2, expected 0 or 1"));
  write_bytes(path_, npy(1, dictionary("<i4", "(1, 2)"), raw<std::int32_t>({1, 2})));
  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(NpyFile(path_).integers()); }),
              HasSubstr("shape (1, 2), expected one dimension"));
  EXPECT_THAT(message_of<PruneError>(
                  [&] { read_npy_rows(path_, [](std::int64_t, std::span<const double>) {}); }),
              HasSubstr("not floats"));
}

/// numpy itself writes and reads; skipped without it.
TEST_F(NpyFileTest, AgreesWithNumpy) {
  const char* python = std::getenv("DIFFPROB_PYTHON");
  if (python == nullptr || *python == '\0')
    GTEST_SKIP() << "DIFFPROB_PYTHON is not set: no numpy to compare with";
  const auto run = [&](const std::string& code) {
    write_bytes(folder_.file("script.py"),
                "import sys, numpy as np\nfolder = sys.argv[1] + '/'\n" + code);
    return std::system(("'" + std::string(python) + "' '" + folder_.file("script.py") + "' '" +
                        folder_.file("") + "'")
                           .c_str()) == 0;
  };
  if (!run("")) GTEST_SKIP() << "this Python has no numpy";
  ASSERT_TRUE(run(
      "np.save(folder + 'f4', np.float32([[.5, .25], [0, 1]])); np.save(folder + 'f8', "
      "np.array([.1, .2]))\n"
      "np.save(folder + 'i8', np.array([3, -1])); np.save(folder + 'b1', np.array([True, False]))\n"
      "np.save(folder + 'o', np.array([None, {}]), allow_pickle=True); np.save(folder + 'fortran', "
      "np.asfortranarray(np.eye(3)))\n"
      "np.lib.format.write_array(open(folder + 'v2.npy', 'wb'), np.array([7]), version=(2, 0))\n"));
  EXPECT_THAT(rows(read_bytes(folder_.file("f4.npy"))),
              ElementsAre(ElementsAre(0.5, 0.25), ElementsAre(0, 1)));
  EXPECT_THAT(rows(read_bytes(folder_.file("f8.npy"))), ElementsAre(ElementsAre(0.1, 0.2)));
  EXPECT_THAT(NpyFile(folder_.file("i8.npy")).integers(), ElementsAre(3, -1));
  EXPECT_THAT(NpyFile(folder_.file("v2.npy")).integers(), ElementsAre(7));
  EXPECT_THAT(NpyFile(folder_.file("b1.npy")).mask(), ElementsAre(1, 0));
  EXPECT_THAT(message_of<PruneError>([&] { NpyFile file(folder_.file("o.npy")); }),
              HasSubstr("pickle"));
  EXPECT_THAT(message_of<PruneError>([&] { NpyFile file(folder_.file("fortran.npy")); }),
              HasSubstr("Fortran"));
  write_npy<double>(folder_.file("our_f8.npy"), std::vector<double>{0.1, 0.7});
  write_npy<float>(folder_.file("our_f4.npy"), std::vector<float>{0.1F, 0.7F});
  write_npy<std::int64_t>(folder_.file("our_i8.npy"), std::vector<std::int64_t>{5, -6});
  write_npy_mask(folder_.file("our_b1.npy"), std::vector<std::uint8_t>{0, 1});
  EXPECT_TRUE(
      run("def same(name, wanted):\n"
          "    a = np.load(folder + name); assert a.dtype == wanted.dtype and (a == wanted).all(), "
          "name\n"
          "same('our_f8.npy', np.array([.1, .7])); same('our_f4.npy', np.float32([.1, .7]))\n"
          "same('our_i8.npy', np.array([5, -6])); same('our_b1.npy', np.array([False, True]))\n"));
}

}  // namespace
}  // namespace diffprob::prune::tests
