#include "data/error.h"
#include "launch/checkpoint/list.h"
#include "launch/checkpoint/network.h"
#include "launch/observe/json_file.h"
#include "tests/launch/checkpoint/checkpoint_case.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointReading : public CheckpointCase {
 protected:
  /// Message of the exception, "" without one.
  template <class Action>
  static std::string message_of(Action action) {
    try {
      action();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }
};

void flip_bit(const std::string& path, double where) {
  const auto at = static_cast<std::streamoff>(where * static_cast<double>(fs::file_size(path) - 1));
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.peek() ^ 16);
  file.seekp(at);
  file.put(byte);
}

TEST_F(CheckpointReading, AnyNumberOfRanksReadsIt) {
  const std::string path = save(5, 0.5);

  for (int world_size = 1; world_size <= 5; ++world_size) {
    for (int rank = 0; rank < world_size; ++rank) {
      CheckpointState loaded = state_of(rank, world_size, -100);
      load_checkpoint(path, loaded);
      expect_same_shared(loaded, state_of(rank, world_size, 0.5));
      expect_equal(
          loaded.local,
          state_of(rank, world_size, world_size == control_.world_size() ? 0.5 : -100).local);
    }
  }
}

TEST_F(CheckpointReading, FilesOfRanksComeInRankOrder) {
  CheckpointState state = own_state(0.5);
  state.dynamics = {{"samples", at::full({2}, control_.rank(), at::kLong)},
                    {"epoch.index", at::empty({0}, at::kLong)}};
  CheckpointWriter writer(folder_, {2, 0}, control_);
  writer.start(info_of(3), state);
  writer.finish();

  const auto paths = checkpoint_rank_files(writer.newest(), "dynamics");

  ASSERT_EQ(paths.size(), static_cast<std::size_t>(control_.world_size()));
  for (std::size_t rank = 0; rank < paths.size(); ++rank) {
    const model::StateDict entries = model::read_pth(paths[rank]);
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_TRUE(
        at::equal(entries[0].second, at::full({2}, static_cast<std::int64_t>(rank), at::kLong)));
    EXPECT_EQ(entries[1].second.numel(), 0);
  }
  EXPECT_TRUE(checkpoint_rank_files(save(4, 0.5), "dynamics").empty());
}

TEST_F(CheckpointReading, EveryBrokenFileIsNoticedMarkedAndThePreviousTaken) {
  const std::vector<std::string> damages = {"cut short", "first bit", "middle bit", "last bit",
                                            "missing"};
  const std::string good = save(1, 0);
  const Manifest manifest = read_manifest(good);
  std::vector<std::string> files = {kManifestFile};
  for (const auto& file : manifest.files) files.push_back(file.name);
  for (const auto& file : files) {
    for (const auto& damage : damages) {
      const std::string path = save(2, 0);
      if (control_.rank() == 0) {
        const std::string victim = path + "/" + file;
        if (damage == "cut short") fs::resize_file(victim, fs::file_size(victim) / 2);
        if (damage == "first bit") flip_bit(victim, 0);
        if (damage == "middle bit") flip_bit(victim, 0.5);
        if (damage == "last bit") flip_bit(victim, 1);
        if (damage == "missing") fs::remove(victim);
      }
      control_.barrier("damaged");

      const auto found = find_checkpoint(folder_, control_);

      ASSERT_TRUE(found.has_value()) << file << " " << damage;
      EXPECT_EQ(*found, good) << file << " " << damage;
      control_.barrier("found");
      EXPECT_FALSE(fs::exists(path)) << file << " " << damage;
      EXPECT_TRUE(fs::exists(path + ".broken")) << file << " " << damage;
      control_.barrier("seen");
    }
  }
}

TEST_F(CheckpointReading, AConfigurationThatIsNotTheOneOfItsDigestIsBroken) {
  const std::string good = save(1, 0);
  const std::string path = save(2, 0);
  if (control_.rank() == 0) {
    auto json = read_json(path + "/manifest.json");
    json["config"] = "train:\n  lr: 0.2\n";
    json["manifest_sha256"] = manifest_digest(json);
    write_json(path + "/manifest.json", json);
  }
  control_.barrier("changed");
  EXPECT_THAT(message_of([&] { (void)read_checkpoint_info(path); }),
              HasSubstr("the SHA-256 of the configuration does not match"));
  control_.barrier("read");
  EXPECT_EQ(find_checkpoint(folder_, control_), good);
}

TEST_F(CheckpointReading, AManifestWithAnotherNumberIsBroken) {
  const std::string path = save(1, 0);
  if (control_.rank() == 0) {
    auto json = read_json(path + "/manifest.json");
    json["batch"] = 7;
    write_json(path + "/manifest.json", json);
  }
  control_.barrier("changed");
  EXPECT_THAT(message_of([&] { (void)read_checkpoint_info(path); }),
              HasSubstr("its SHA-256 does not match"));
  control_.barrier("read");
}

TEST_F(CheckpointReading, NothingWholeIsNothingFound) {
  EXPECT_EQ(find_checkpoint(folder_ + "/nowhere", control_), std::nullopt);
  const std::string path = save(1, 0);
  if (control_.rank() == 0) fs::remove(path + "/manifest.json");
  control_.barrier("removed");
  EXPECT_EQ(find_checkpoint(folder_, control_), std::nullopt);
}

TEST_F(CheckpointReading, AnotherFormatVersionIsRefusedNotMarked) {
  const std::string path = save(1, 0);
  if (control_.rank() == 0) {
    auto json = read_json(path + "/manifest.json");
    json["format_version"] = 99;
    write_json(path + "/manifest.json", json);
  }
  control_.barrier("changed");
  EXPECT_THAT(message_of([&] { (void)find_checkpoint(folder_, control_); }),
              HasSubstr("use a newer diffprob"));
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(CheckpointReading, AFileNameThatLeavesTheFolderIsRefused) {
  const std::string path = save(1, 0);
  if (control_.rank() == 0) {
    auto json = read_json(path + "/manifest.json");
    json["files"][0]["name"] = "../../secret";
    json["manifest_sha256"] = manifest_digest(json);
    write_json(path + "/manifest.json", json);
  }
  control_.barrier("changed");
  EXPECT_THAT(message_of([&] { (void)read_checkpoint_info(path); }), HasSubstr("../../secret"));
}

TEST_F(CheckpointReading, WrongShapesAndMissingEntriesAreNamed) {
  const std::string path = save(1, 0);
  CheckpointState state = own_state(0);
  state.backbone[0].second = at::zeros({2, 4});
  EXPECT_THAT(message_of([&] { load_checkpoint(path, state); }),
              HasSubstr("fc.weight has shape [2, 3], expected [2, 4]"));

  state = own_state(0);
  state.rows.emplace_back("exp_avg", at::zeros_like(state.rows[0].second));
  EXPECT_THAT(message_of([&] { load_checkpoint(path, state); }), HasSubstr("no entry 'exp_avg'"));
}

TEST_F(CheckpointReading, WhatMayDifferStaysAsItIs) {
  const std::string path = save(1, 0.5);
  CheckpointState state = own_state(-100);
  state.replicated[1].entries = {{"other", at::full({2}, 3.0)}};  // "loss" of another kind
  state.rows[1] = {"exp_avg", at::full_like(state.rows[0].second, 4)};

  load_checkpoint(path, state, {"loss", "head.exp_avg"});

  EXPECT_TRUE(at::equal(state.replicated[1].entries[0].second, at::full({2}, 3.0)));
  EXPECT_TRUE(at::equal(state.rows[1].second, at::full_like(state.rows[0].second, 4)));
  EXPECT_TRUE(at::equal(state.rows[0].second, own_state(0.5).rows[0].second));
  EXPECT_TRUE(at::equal(state.replicated[0].entries[0].second,
                        own_state(0.5).replicated[0].entries[0].second));
  EXPECT_THAT(message_of([&] { load_checkpoint(path, state); }), HasSubstr("no entry 'other'"));
}

TEST_F(CheckpointReading, ABackboneComesFromAFolderOrAFileWithoutItsHead) {
  const std::string path = save(1, 0.5);
  const model::StateDict wanted = own_state(0.5).backbone;
  model::StateDict target = own_state(-1).backbone;
  EXPECT_EQ(load_backbone_weights(path, target, {}), "");
  expect_equal(target, wanted);

  const std::string file = folder_ + "/rank" + std::to_string(control_.rank()) + ".pth";
  model::StateDict with_head = wanted;
  with_head.emplace_back("head.kernel", at::zeros({7, 3}));
  model::write_pth(file, with_head);
  target = own_state(-1).backbone;
  EXPECT_EQ(load_backbone_weights(file, target, {}), "");
  expect_equal(target, wanted);

  with_head.emplace_back("extra.weight", at::zeros({1}));
  with_head[0].second = at::zeros({2, 5});
  model::write_pth(file, with_head);
  const std::string message = message_of([&] { (void)load_backbone_weights(file, target, {}); });
  EXPECT_THAT(message, HasSubstr(file));
  EXPECT_THAT(message, HasSubstr("unexpected: extra.weight"));
  EXPECT_THAT(message, HasSubstr("wrong shape: fc.weight: expected [2, 3], found [2, 5]"));
}

TEST_F(CheckpointReading, TheFingerprintNamesTheWeights) {
  const std::string first = checkpoint_fingerprint(save(1, 0));
  const std::string again = checkpoint_fingerprint(save(2, 0));
  const std::string other = checkpoint_fingerprint(save(3, 1));
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

TEST(CheckpointSettings, DifferencesAreListed) {
  EXPECT_THAT(settings_differences("a=1\nb=2\nc=3\n", "a=1\nb=5\nd=4\n"),
              ElementsAre("b: was 2, is 5", "d: was missing, is 4", "c: was 3, is missing"));
}

TEST(CheckpointSettings, AllowedKeysAndSectionsMayDiffer) {
  const std::string then =
      "model.loss=arcface\nmodel.loss_preset=x\ntrain.lr=1\ntrain.lr_gamma=1\n";
  const std::string now = "model.loss=cosface\nmodel.loss_preset=y\ntrain.lr=2\ntrain.lr_gamma=2\n";
  EXPECT_THAT(settings_differences(then, now, {"model.loss", "train"}),
              ElementsAre("model.loss_preset: was x, is y"));
}

TEST_F(CheckpointReading, CheckpointsOfAFolderAreListedByRisingStep) {
  const std::vector<std::string> paths = {save(9, 0.5, {9, 0}), save(12, 0.5, {9, 0})};
  if (control_.rank() == 0) fs::create_directory(folder_ + "/step_0000000010.broken");
  control_.barrier("broken one");

  EXPECT_TRUE(holds_checkpoints(folder_));
  EXPECT_FALSE(holds_checkpoints(paths[0]));
  EXPECT_FALSE(holds_checkpoints(folder_ + "/none"));
  EXPECT_EQ(list_checkpoints(folder_), paths);
}

TEST_F(CheckpointReading, AFolderWithBrokenCheckpointsNamesEachOfThem) {
  const std::vector<std::string> paths = {save(9, 0.5, {9, 0}), save(12, 0.5, {9, 0}),
                                          save(15, 0.5, {9, 0})};
  control_.barrier("written");
  if (control_.rank() == 0) {
    fs::resize_file(paths[0] + "/backbone.pth", 10);
    fs::remove(paths[2] + "/manifest.json");
  }
  control_.barrier("broken");

  const std::string message = message_of([&] { (void)list_checkpoints(folder_); });

  EXPECT_THAT(message, HasSubstr(paths[0] + "/backbone.pth has 10 bytes, expected"));
  EXPECT_THAT(message, HasSubstr(paths[2] + "/manifest.json"));
  EXPECT_THAT(message, ::testing::Not(HasSubstr(paths[1])));
  EXPECT_THAT(message_of([&] { (void)list_checkpoints(folder_ + "/none"); }),
              HasSubstr("no checkpoints here"));
}

}  // namespace
}  // namespace diffprob::launch
