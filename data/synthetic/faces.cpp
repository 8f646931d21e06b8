#include "data/synthetic/faces.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/files/worker_threads.h"
#include "data/images/jpeg_decoder.h"
#include "data/random/keyed_random.h"
#include "data/records/record_io.h"
#include "data/sets/verification_set.h"
#include "data/synthetic/plan.h"
#include "data/synthetic/renderer.h"

namespace diffprob::data {
namespace {

namespace fs = std::filesystem;

// Images held at once while the record file grows: about 25 MB.
constexpr std::int64_t kBlock = 4096;

using Encoded = std::vector<std::byte>;

/// Draws pictures of the people of one set ("train" or "verification"); different sets share
/// nobody.
class Photographer {
 public:
  Photographer(const SyntheticFacesOptions& options, const char* set)
      : people_(combine_key(combine_key(options.seed, key_of_name(set)), key_of_name("people"))),
        pictures_(
            combine_key(combine_key(options.seed, key_of_name(set)), key_of_name("pictures"))),
        spread_(static_cast<float>(options.identity_spread)),
        nuisance_(static_cast<float>(options.nuisance)) {}

  [[nodiscard]] faces::FaceSample sample(std::int64_t number, faces::Difficulty difficulty) const {
    return faces::draw_sample(picture_key(number), nuisance_, difficulty);
  }
  [[nodiscard]] faces::FaceSample copy_of(std::int64_t source, std::int64_t number) const {
    return faces::near_copy(sample(source, faces::Difficulty::kPlain), picture_key(number));
  }
  [[nodiscard]] Encoded shoot(std::int64_t identity, const faces::FaceSample& sample) const {
    const faces::FaceIdentity face =
        faces::draw_identity(combine_key(people_, static_cast<std::uint64_t>(identity)), spread_);
    return encode_jpeg(faces::render_face(face, sample), faces::kSide, faces::kSide,
                       sample.quality);
  }

 private:
  [[nodiscard]] std::uint64_t picture_key(std::int64_t number) const {
    return combine_key(pictures_, static_cast<std::uint64_t>(number));
  }

  std::uint64_t people_;
  std::uint64_t pictures_;
  float spread_;
  float nuisance_;
};

Encoded shoot_planned(const Photographer& photographer, const PlannedSample& planned,
                      std::int64_t index) {
  const auto difficulty =
      planned.kind == PlantedKind::kHard ? faces::Difficulty::kHard : faces::Difficulty::kPlain;
  const bool copy = planned.kind == PlantedKind::kNearDuplicate;
  return photographer.shoot(planned.true_label, copy ? photographer.copy_of(planned.source, index)
                                                     : photographer.sample(index, difficulty));
}

void write_training_set(const std::string& folder, const SyntheticFacesOptions& options,
                        const std::vector<PlannedSample>& plan) {
  const Photographer photographer(options, "train");
  RecordWriter writer(folder, faces::kSide);
  const auto total = static_cast<std::int64_t>(plan.size());
  for (std::int64_t begin = 0; begin < total; begin += kBlock) {
    const std::int64_t end = std::min(begin + kBlock, total);
    std::vector<Encoded> images(static_cast<std::size_t>(end - begin));
    parallel_for(begin, end, options.threads, [&](std::int64_t i, int /*worker*/) {
      images[static_cast<std::size_t>(i - begin)] =
          shoot_planned(photographer, plan[static_cast<std::size_t>(i)], i);
    });
    for (std::int64_t i = begin; i < end; ++i) {
      writer.add(plan[static_cast<std::size_t>(i)].label,
                 images[static_cast<std::size_t>(i - begin)]);
    }
  }
  writer.finish();
}

/// Among verification pictures, as many are hard as in the training set.
void write_verification_set(const std::string& path, const SyntheticFacesOptions& options) {
  const Photographer photographer(options, "verification");
  const std::vector<VerificationPicture> plan = plan_verification_set(options);
  VerificationSet set;
  set.images.resize(plan.size());
  parallel_for(0, static_cast<std::int64_t>(plan.size()), options.threads,
               [&](std::int64_t i, int /*worker*/) {
                 const VerificationPicture& picture = plan[static_cast<std::size_t>(i)];
                 KeyedRandom random(combine_key(combine_key(options.seed, key_of_name("hard")),
                                                static_cast<std::uint64_t>(i)));
                 const auto difficulty = random.uniform() < static_cast<float>(options.hard_samples)
                                             ? faces::Difficulty::kHard
                                             : faces::Difficulty::kPlain;
                 set.images[static_cast<std::size_t>(i)] = photographer.shoot(
                     picture.identity, photographer.sample(picture.number, difficulty));
               });
  for (std::size_t i = 0; i < plan.size(); i += 2)
    set.same.push_back(plan[i].identity == plan[i + 1].identity);
  write_verification_bin(path, set);
}

/// Removes what was begun when something throws.
class StagingFolder {
 public:
  explicit StagingFolder(const fs::path& target)
      : path_(target.string() + ".partial-" + std::to_string(::getpid())) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~StagingFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// A new folder appears by one rename. Into an old one train.rec goes last: without it there is
  /// no set.
  void publish(const fs::path& target) const {
    if (!fs::exists(target)) {
      fs::rename(path_, target);
      sync_folder(target.parent_path().string());
      return;
    }
    fs::remove(target / "train.rec");
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
      if (entry.path().filename() != "train.rec")
        fs::rename(entry.path(), target / entry.path().filename());
    }
    fs::rename(path_ / "train.rec", target / "train.rec");
    sync_folder(target.string());
  }

 private:
  fs::path path_;
};

}  // namespace

void write_synthetic_faces(const std::string& folder, const SyntheticFacesOptions& options) {
  const std::vector<PlannedSample> plan = plan_training_set(options);
  try {
    fs::path target = fs::absolute(folder).lexically_normal();
    if (!target.has_filename()) target = target.parent_path();  // "name/" is "name"
    const StagingFolder staging(target);
    write_training_set(staging.path().string(), options, plan);
    write_file_atomically((staging.path() / "planted.csv").string(), planted_csv(plan));
    write_verification_set((staging.path() / "synthetic_verification.bin").string(), options);
    staging.publish(target);
  } catch (const fs::filesystem_error& e) {
    throw DataError("synthetic faces cannot be written to " + folder + ": " + e.what());
  }
}

}  // namespace diffprob::data
