#include <chrono>

#include "data/files/sha256.h"
#include "tests/launch/checkpoint/checkpoint_case.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointWriting : public CheckpointCase {};

TEST_F(CheckpointWriting, KeepsTheValuesOfStartWhileTrainingGoesOn) {
  CheckpointWriter writer(folder_, {2, 0}, control_);
  CheckpointState live = own_state(1);

  writer.start(info_of(5), live);
  for (auto& [name, tensor] : live.rows) tensor.zero_();
  for (auto& [name, tensor] : live.backbone) tensor.zero_();
  live.replicated[0].entries[0].second.zero_();
  live.local[0].second.zero_();
  writer.finish();

  CheckpointState loaded = own_state(-100);
  load_checkpoint(writer.newest(), loaded);
  expect_same_shared(loaded, own_state(1));
  expect_equal(loaded.local, own_state(1).local);
}

TEST_F(CheckpointWriting, BuffersAreUsedAgainAndEveryCheckpointIsItsOwn) {
  CheckpointWriter writer(folder_, {3, 0}, control_);
  for (const std::int64_t step : {1, 2, 3})
    writer.start(info_of(step), own_state(static_cast<double>(step)));
  writer.finish();

  for (const std::int64_t step : {1, 2, 3}) {
    CheckpointState loaded = own_state(-100);
    load_checkpoint(folder_ + "/" + checkpoint_name(step), loaded);
    expect_same_shared(loaded, own_state(static_cast<double>(step)));
  }
}

constexpr std::int64_t kTinyPieces = 4096;

/// Tensors of all kinds, most of them of several tiny pieces; `rows` that no piece's size divides.
model::StateDict entries_of_all_kinds(std::int64_t rows) {
  at::manual_seed(rows);
  return {
      {"float32", at::rand({rows, 24})},
      {"bfloat16", at::rand({rows, 33}).to(at::kBFloat16)},
      {"int64", at::randint(1 << 30, {5 * rows}, at::kLong)},
      {"long_rows", at::rand({3, 5000})},
      {"one_row", at::rand({1, rows, 100})},
      {"no_rows", at::zeros({0, 512})},
      {"scalar", at::full({}, rows, at::kLong)},
      {"one_piece", at::rand({kTinyPieces / 4})},
      {"channels_last", at::rand({rows / 4, 16, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast)},
      {"channels_last_long_rows",
       at::rand({2, 128, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast)},
      {"transposed", at::rand({30, rows}).t()},
      {"with_gradient", at::rand({rows, 30}, at::requires_grad())}};
}

TEST(PiecesOf, ATensorAreSmallAndInOrder) {
  for (const auto& [name, tensor] : entries_of_all_kinds(403)) {
    const auto pieces = pieces_of(tensor, kTinyPieces);

    std::vector<at::Tensor> values;
    for (const at::Tensor& piece : pieces) {
      values.push_back(piece.reshape(-1));
      const bool long_row = name == "channels_last_long_rows" && piece.size(0) == 1;
      EXPECT_TRUE(static_cast<std::int64_t>(piece.nbytes()) <= kTinyPieces || long_row)
          << name << ": " << piece.nbytes();
      EXPECT_TRUE(piece.is_alias_of(tensor) || tensor.numel() == 0) << name;
    }
    EXPECT_TRUE(at::equal(at::cat(values), tensor.reshape(-1))) << name;
    if (tensor.is_contiguous() &&
        tensor.numel() > 0) {  // nothing is lost by rounding: all pieces but the last are full
      EXPECT_EQ(pieces.size(), (tensor.nbytes() + kTinyPieces - 1) / kTinyPieces) << name;
    }
  }
  EXPECT_EQ(pieces_of(at::rand({2, 3}), 1).size(), 6u);
}

TEST_F(CheckpointWriting, FilesFromSmallPiecesAreThoseFromWholeTensors) {
  CheckpointWriter whole(folder_ + "/whole", {2, 0}, control_);
  CheckpointWriter cut(folder_ + "/cut", {2, 0}, control_, kTinyPieces);
  cut.resumed(save(1, 0));

  for (const std::int64_t step : {5, 6, 7}) {  // the second has other sizes, in fewer pieces
    CheckpointState state = own_state(0);
    state.backbone = entries_of_all_kinds(step == 6 ? 101 : 403);
    state.rows = {{"weight", at::rand({401, 24})},
                  {"momentum", at::rand({401, 24}).to(at::kBFloat16)}};
    for (CheckpointWriter* writer : {&whole, &cut}) {
      writer->start(info_of(step), state);
      writer->finish();
    }
    for (const auto& file : fs::directory_iterator(whole.newest())) {
      const std::string name = file.path().filename();
      EXPECT_EQ(data::sha256_file(cut.newest() + "/" + name), data::sha256_file(file.path()))
          << name;
    }
    expect_equal(model::read_pth(cut.newest() + "/backbone.pth"), state.backbone);
    control_.barrier("read");
  }
}

TEST_F(CheckpointWriting, ManifestHoldsTheDigestsOfTheFilesAsTheyAre) {
  const std::string path = save(5, 1);

  const Manifest manifest = read_manifest(path);
  EXPECT_EQ(manifest.files.size(),
            3u + 2u * static_cast<unsigned>(
                          control_.world_size()));  // backbone, 2 parts, a shard and a local a rank
  for (const auto& file : manifest.files) {
    EXPECT_EQ(data::sha256_file(path + "/" + file.name), file.sha256) << file.name;
    EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(path + "/" + file.name)), file.bytes)
        << file.name;
  }
  std::size_t files_there = 0;
  for (const auto& item : fs::directory_iterator(path))
    files_there += item.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files_there, manifest.files.size() + 1)
      << "nothing but the files of the manifest and itself";
}

TEST_F(CheckpointWriting, ManifestCarriesAllThatATrainingKnows) {
  CheckpointInfo info = info_of(25);
  info.seed = 0xffffffffffffffffU;
  info.consumed_samples = 1600;
  info.schedule = "cosine";
  info.counters = {{"skipped", 3}};
  info.best_set = "lfw";
  info.best_value = 0.125;
  info.best_step = 20;
  CheckpointWriter writer(folder_, {2, 0}, control_);
  writer.start(info, own_state(0));
  writer.finish();

  const CheckpointInfo read = read_checkpoint_info(writer.newest());

  EXPECT_EQ(read.epoch, 2);
  EXPECT_EQ(read.batch, 5);
  EXPECT_EQ(read.seed, info.seed);
  EXPECT_EQ(read.consumed_samples, 1600);
  EXPECT_EQ(read.schedule, "cosine");
  EXPECT_EQ(read.config, info.config);
  EXPECT_EQ(read.counters, info.counters);
  EXPECT_EQ(read.best_set, "lfw");
  EXPECT_EQ(read.best_value, 0.125);
  EXPECT_EQ(read.best_step, 20);
}

TEST_F(CheckpointWriting, NewestBestAndEveryNthEpochStay) {
  CheckpointWriter writer(folder_, {.newest = 2, .every_epochs = 3}, control_);
  for (const std::int64_t step : {5, 10, 20, 30, 35, 40, 45, 50}) {  // ten steps an epoch
    CheckpointInfo info = info_of(step);
    if (step >= 10) info.best_value = 0.5, info.best_step = step >= 40 ? 35 : 10;
    writer.start(info, own_state(0));
  }
  writer.finish();

  // 30: third epoch; 35: best now (10 was, and went when 35 took its place); 45, 50: newest.
  EXPECT_THAT(names_in_folder(),
              ElementsAre("step_00000030", "step_00000035", "step_00000045", "step_00000050"));
}

TEST_F(CheckpointWriting, TheSameStepAgainTakesThePlaceOfTheOldOne) {
  (void)save(5, 1);
  const std::string path = save(5, 2);

  CheckpointState loaded = own_state(-100);
  load_checkpoint(path, loaded);
  expect_same_shared(loaded, own_state(2));
  EXPECT_THAT(names_in_folder(), ElementsAre("step_00000005"));
}

TEST_F(CheckpointWriting, LeftoversOfAKilledRunGoAndAWholeCheckpointPutAsideComesBack) {
  (void)save(5, 1);
  (void)save(6, 1);
  if (control_.rank() == 0) {
    fs::create_directories(folder_ + "/step_00000007.tmp.0123abcd");
    fs::rename(folder_ + "/step_00000006", folder_ + "/step_00000006.replaced");
  }
  control_.barrier("killed");

  const CheckpointWriter writer(folder_, {2, 0}, control_);

  EXPECT_THAT(names_in_folder(), ElementsAre("step_00000005", "step_00000006"));
}

TEST_F(CheckpointWriting, AFailureOnOneRankIsToldOnAllAndNothingIsPublished) {
  (void)save(5, 1);
  CheckpointWriter writer(folder_, {2, 0}, control_);
  CheckpointState state = own_state(0);
  const int last = control_.world_size() - 1;
  if (control_.rank() == last)
    state.local[0].second = at::zeros({3}, at::kComplexFloat);  // a type that no weight file has

  writer.start(info_of(6), state);
  std::string message;
  try {
    writer.start(info_of(7), own_state(0));
  } catch (const c10::Error& error) {
    message = error.what();
  }

  EXPECT_THAT(message, HasSubstr("step_00000006"));
  EXPECT_THAT(message, HasSubstr("bn.running_mean has the unsupported type"));
  control_.barrier("all have failed");
  EXPECT_FALSE(fs::exists(folder_ + "/step_00000006"));
  EXPECT_TRUE(fs::exists(folder_ + "/step_00000005"));
}

TEST_F(CheckpointWriting, AFolderThatCannotBeMadeIsAnErrorNotAHang) {
  CheckpointWriter writer(folder_, {2, 0}, control_);
  if (control_.rank() == 0) {
    fs::remove_all(folder_);
    std::ofstream(folder_) << "a file";
  }
  control_.barrier("folder is a file");
  writer.start(info_of(6), own_state(0));
  EXPECT_THROW(writer.finish(), c10::Error);
}

TEST_F(CheckpointWriting, LeavingWithoutTheOthersIsBounded) {  // as after a CommError: a rank that
                                                               // never writes must not hold rank 0
  if (control_.world_size() == 1) GTEST_SKIP() << "needs another rank";
  const auto begin = std::chrono::steady_clock::now();
  {
    CheckpointWriter writer(folder_, {2, 0}, control_);
    if (control_.rank() == 0)
      writer.start(info_of(6), own_state(0));  // the first start() waits for nobody
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_FALSE(fs::exists(folder_ + "/step_00000006"));
}

}  // namespace
}  // namespace diffprob::launch
