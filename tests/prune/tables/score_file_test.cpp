// Score files: round trip, refusal of bad values, and what is left of damaged files.
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/tables/score_table.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

bool equal(const ScoreTable& a, const ScoreTable& b) {
  const auto same_source = [](const ScoreSource& x, const ScoreSource& y) {
    return x.dataset_fingerprint == y.dataset_fingerprint &&
           x.model_fingerprint == y.model_fingerprint && x.margin == y.margin &&
           x.scale == y.scale && x.config == y.config && x.num_classes == y.num_classes;
  };
  return same_source(a.source, b.source) && a.labels == b.labels &&
         a.records.size() == b.records.size() &&
         (a.records.empty() || std::memcmp(a.records.data(), b.records.data(),
                                           a.records.size() * sizeof(ScoreRecord)) == 0);
}

class ScoreFile : public ::testing::Test {
 protected:
  std::string refusal(const ScoreTable& table) {
    return message_of<PruneError>([&] { write_scores(path_, table); });
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("scores.h5");
};

TEST_F(ScoreFile, ComesBackAsItWas) {
  for (const std::int64_t identities : {1, 7, 300}) {
    const ScoreTable table =
        synthetic_table(static_cast<std::uint64_t>(identities), identities, 20);

    write_scores(path_, table);

    EXPECT_TRUE(equal(read_scores(path_), table));
    EXPECT_EQ(folder_.entries(), 1U) << "no temporary file is left";
  }
}

TEST_F(ScoreFile, SpansSeveralChunks) {
  const ScoreTable table = synthetic_table(2, 3000, 100);
  ASSERT_GT(table.records.size(), std::size_t{1} << 18U);

  write_scores(path_, table);

  EXPECT_TRUE(equal(read_scores(path_), table));
}

TEST_F(ScoreFile, EmptyTableAndEmptyTextsComeBack) {
  ScoreTable table;
  table.source.num_classes = 3;

  write_scores(path_, table);

  EXPECT_TRUE(equal(read_scores(path_), table));
}

TEST_F(ScoreFile, SameContentGivesTheSameBytes) {
  const ScoreTable table = synthetic_table(8, 20, 10);

  write_scores(path_, table);
  write_scores(folder_.file("again.h5"), table);

  EXPECT_EQ(read_bytes(path_), read_bytes(folder_.file("again.h5")));
}

TEST_F(ScoreFile, InfiniteNllIsAllowed) {
  ScoreTable table = synthetic_table(8, 20, 10);
  table.records[4].nll = std::numeric_limits<float>::infinity();
  table.records[4].probability = 0;

  write_scores(path_, table);

  EXPECT_TRUE(equal(read_scores(path_), table));
}

TEST_F(ScoreFile, BadRowsAreNamedAndCounted) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const ScoreTable good = synthetic_table(8, 20, 10);
  const auto with = [&](auto&& change) {
    ScoreTable table = good;
    change(table);
    return refusal(table);
  };

  EXPECT_THAT(with([&](auto& t) { t.records[3].entropy = nan; }),
              HasSubstr("1 bad values: row 3: entropy is NaN"));
  EXPECT_THAT(with([&](auto& t) { t.records[5].probability = 1.25F; }),
              HasSubstr("row 5: probability is 1.25"));
  EXPECT_THAT(with([&](auto& t) { t.records[5].probability = -0.5F; }),
              HasSubstr("row 5: probability is -0.5"));
  EXPECT_THAT(with([&](auto& t) { t.records[6].nll = -0.5F; }), HasSubstr("row 6: nll is -0.5"));
  EXPECT_THAT(with([&](auto& t) { t.records[7].top1 = 20; }),
              HasSubstr("row 7: top1 is 20, expected 0 to 19"));
  EXPECT_THAT(with([&](auto& t) { t.records[7].top1 = -1; }), HasSubstr("row 7: top1 is -1"));
  EXPECT_THAT(with([&](auto& t) { t.labels[8] = 20; }), HasSubstr("row 8: label is 20"));
  EXPECT_THAT(with([&](auto& t) { t.records[9].index = 4; }),
              HasSubstr("row 9: holds the record of sample 4"));
  EXPECT_THAT(with([&](auto& t) { t.labels.pop_back(); }), HasSubstr("labels for"));
  EXPECT_THAT(with([&](auto& t) { t.source.num_classes = 0; }), HasSubstr("num_classes is 0"));
  EXPECT_THAT(with([&](auto& t) {
                for (int i = 10; i < 30; ++i) t.records[i].norm = nan;
              }),
              HasSubstr("20 bad values: row 10"));
  EXPECT_EQ(folder_.entries(), 0U) << "a refused table leaves no file";
}

/// Writes a score file from columns, so that the file itself can be wrong.
struct RawFile {
  std::int64_t version = 1;
  std::int64_t num_samples = 3;
  std::string format = "diffprob-scores";
  std::vector<float> nll = {0.1F, 0.2F, 0.3F};
  std::vector<std::int32_t> label = {0, 1, 1};
  bool with_norm = true;
  bool nll_as_double = false;

  void write(const std::string& path) const {
    HdfWriter file(path);
    file.attribute("format", format);
    file.attribute("format_version", version);
    file.attribute("num_samples", num_samples);
    file.attribute("dataset_fingerprint", std::string("d"));
    file.attribute("model_fingerprint", std::string());
    file.attribute("margin", 0.0);
    file.attribute("scale", 64.0);
    file.attribute("num_classes", std::int64_t{2});
    file.dataset<std::uint8_t>("config", {});
    file.dataset<std::int32_t>("label", label);
    file.dataset<std::int32_t>("top1", label);
    if (nll_as_double) {
      file.dataset<double>("nll", std::vector<double>(3, 0.5));
    } else {
      file.dataset<float>("nll", nll);
    }
    for (const char* name : {"probability", "top1_log_prob", "second_log_prob", "sum_p2", "entropy",
                             "cosine", "norm"}) {
      if (std::string(name) != "norm" || with_norm)
        file.dataset<float>(name, std::vector<float>(label.size(), 0.5F));
    }
    file.commit();
  }
};

TEST_F(ScoreFile, ReaderNamesWhatIsWrongInAFile) {
  const auto reading = [&](const RawFile& raw) {
    raw.write(path_);
    return message_of<PruneError>([&] { static_cast<void>(read_scores(path_)); });
  };
  RawFile raw;
  EXPECT_EQ(reading(raw), "");
  raw = {}, raw.version = 2;
  EXPECT_THAT(reading(raw), HasSubstr("format_version: found 2, but this program reads 1 to 1"));
  raw = {}, raw.format = "diffprob-index-set";
  EXPECT_THAT(reading(raw), HasSubstr("expected 'diffprob-scores'"));
  raw = {}, raw.num_samples = 4;
  EXPECT_THAT(reading(raw), HasSubstr("num_samples is 4, but there are 3 labels"));
  raw = {}, raw.nll.push_back(1);
  EXPECT_THAT(reading(raw), HasSubstr("nll: 4 rows, expected 3"));
  raw = {}, raw.with_norm = false;
  EXPECT_THAT(reading(raw), HasSubstr("norm: no such dataset"));
  raw = {}, raw.nll_as_double = true;
  EXPECT_THAT(reading(raw), HasSubstr("nll: the element type of the dataset differs"));
  raw = {}, raw.nll[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(reading(raw), HasSubstr("row 1: nll is NaN"));
  raw = {}, raw.label[2] = 2;
  EXPECT_THAT(reading(raw), HasSubstr("row 2: label is 2, expected 0 to 1"));
}

TEST_F(ScoreFile, AnExtentThatTheFileCannotHoldIsRefusedBeforeMemoryIsTaken) {
  RawFile{}.write(path_);
  {
    // A dataset of 2^60 elements for which nothing was ever stored.
    const HdfQuiet quiet;
    const HdfHandle file(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    H5Ldelete(file.get(), "label", H5P_DEFAULT);
    const hsize_t extent = hsize_t{1} << 60U;
    const hsize_t chunk = 1024;
    const HdfHandle space(H5Screate_simple(1, &extent, nullptr), H5Sclose);
    const HdfHandle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_chunk(properties.get(), 1, &chunk);
    const HdfHandle data(H5Dcreate2(file.get(), "label", H5T_STD_I32LE, space.get(), H5P_DEFAULT,
                                    properties.get(), H5P_DEFAULT),
                         H5Dclose);
    ASSERT_GE(data.get(), 0);
  }

  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(read_scores(path_)); }),
              HasSubstr("label: 1152921504606846976 elements"));
}

TEST_F(ScoreFile, MissingFileAndFolderAreErrors) {
  EXPECT_THAT(
      message_of<PruneError>([&] { static_cast<void>(read_scores(folder_.file("none.h5"))); }),
      HasSubstr("none.h5"));
  EXPECT_THAT(message_of<data::DataError>([&] {
                write_scores(folder_.file("no/such/folder.h5"), synthetic_table(1, 3, 3));
              }),
              HasSubstr("cannot create"));
}

TEST_F(ScoreFile, AWriteThatFailsNamesTheFileAndTheErrorOfTheSystem) {
  const ScoreTable table = synthetic_table(3, 40, 20);
  for (const rlim_t bytes : {0, 1000, 20000}) {  // at the creation, in a dataset, at the end
    // In a process of its own: HDF5 never closes a file that it could not write.
    const auto write_with_limit = [&] {
      const rlimit limit{bytes, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      std::signal(SIGXFSZ, SIG_IGN);
      const std::string refused = refusal(table);
      const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &none);  // also of the file that takes stderr
      std::fputs(refused.c_str(), stderr);
      std::_Exit(0);
    };

    EXPECT_EXIT(write_with_limit(), ::testing::ExitedWithCode(0),
                "scores\\.h5.* \\(HDF5: [a-z ]+: File too large\\)$");

    EXPECT_EQ(folder_.entries(), 0U) << "no temporary file is left";
  }
}

/// Reading a damaged file gives PruneError or the table that was written: never another one, never
/// a crash.
void expect_refused_or_equal(const std::string& path, const ScoreTable& table,
                             const std::string& what, std::int64_t& refused) {
  try {
    ASSERT_TRUE(equal(read_scores(path), table)) << what << " was read as another table";
  } catch (const PruneError& error) {
    ASSERT_THAT(error.what(), HasSubstr(path));
    ++refused;
  }
  ASSERT_EQ(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0) << what << ": a handle was left open";
}

TEST_F(ScoreFile, EveryTruncationIsRefused) {
  const ScoreTable table = synthetic_table(8, 5, 6);
  write_scores(path_, table);
  const std::string bytes = read_bytes(path_);
  std::int64_t refused = 0;
  for (std::size_t length = 0; length < bytes.size(); length += length < 1024 ? 1 : 7) {
    write_bytes(path_, bytes.substr(0, length));
    EXPECT_THROW(static_cast<void>(read_scores(path_)), PruneError)
        << length << " of " << bytes.size() << " bytes";
    ++refused;
  }
  std::printf("%lld truncations of a file of %zu bytes\n", static_cast<long long>(refused),
              bytes.size());
}

TEST_F(ScoreFile, FlippedBitsAreRefusedOrHarmless) {
  const ScoreTable table = synthetic_table(8, 5, 6);
  write_scores(path_, table);
  const std::string bytes = read_bytes(path_);
  std::int64_t refused = 0;
  std::int64_t tried = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      if (at >= 256 && bit != at % 8)
        continue;  // all bits of the superblock and the first headers, one of each other byte
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ static_cast<char>(1U << bit));
      write_bytes(path_, damaged);
      ++tried;
      expect_refused_or_equal(
          path_, table,
          "bit " + std::to_string(bit) + " of byte " + std::to_string(at) + " flipped", refused);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(refused, tried / 4);
  std::printf("%lld bit flips, %lld refused, the others harmless\n", static_cast<long long>(tried),
              static_cast<long long>(refused));
}

}  // namespace
}  // namespace diffprob::prune::tests
