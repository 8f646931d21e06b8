#include "data/sets/verification_images.h"

#include <utility>

#include "data/error.h"
#include "data/files/sha256.h"
#include "data/sets/set_names.h"
#include "data/sets/verification_set.h"

namespace diffprob::data {
namespace {

class VerificationImages final : public Dataset {
 public:
  VerificationImages(VerificationSet set, const std::string& path) : set_(std::move(set)) {
    if (set_.images.empty()) throw DataError(path + ": a verification set without images");
    Sha256 digest;
    digest.update("verification images");
    digest.update(size());
    for (const auto& image : set_.images) {
      digest.update(static_cast<std::int64_t>(image.size()));
      digest.update(image);
    }
    fingerprint_ = digest.hex();
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(set_.images.size()); }
  std::int64_t num_classes() const override { return size(); }
  std::int64_t label(std::int64_t index) const override { return checked(index); }
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override {
    bytes = set_.images[static_cast<std::size_t>(checked(index))];
  }
  std::string describe(std::int64_t index) const override {
    return describe_verification_image(set_.name, checked(index));
  }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::int64_t checked(std::int64_t index) const {
    if (index < 0 || index >= size())
      throw DataError(set_.name + ": image " + std::to_string(index) + " of " +
                      std::to_string(size()));
    return index;
  }

  VerificationSet set_;
  std::string fingerprint_;
};

}  // namespace

std::string describe_verification_image(const std::string& set, std::int64_t image) {
  return set + " image " + std::to_string(image) + " (pair " + std::to_string(image / 2) + ")";
}

std::shared_ptr<const Dataset> open_verification_images(const std::string& path) {
  VerificationSet set = read_verification_bin(path);
  set.name = set_name(path);
  return std::make_shared<VerificationImages>(std::move(set), path);
}

}  // namespace diffprob::data
