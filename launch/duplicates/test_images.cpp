#include "launch/duplicates/test_images.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <ATen/core/Tensor.h>

#include "data/error.h"
#include "data/sets/set_names.h"
#include "data/sets/verification_images.h"
#include "data/sets/verification_set.h"
#include "dist/mpi/agreement.h"
#include "eval/ijb/loose_crops.h"
#include "launch/evaluate/ijb_set.h"

namespace diffprob::launch {
namespace {

std::vector<data::VerificationSet> read_sets(const Config& config) {
  std::vector<data::VerificationSet> sets;
  const std::vector<std::string> names = data::set_names(config.eval.sets);
  for (std::size_t i = 0; i < names.size(); ++i) {
    sets.push_back(data::read_verification_bin(config.eval.sets[i]));
    sets.back().name = names[i];
  }
  return sets;
}

/// Readers of loose crops, of which each thread takes one while it reads.
class CropReaders {
 public:
  explicit CropReaders(const eval::IjbProtocol& protocol) : protocol_(protocol) {}

  void read(std::int64_t row, std::vector<std::uint8_t>& rgb) {
    std::unique_ptr<eval::LooseCrops> reader = take();
    std::uint8_t there = 0;
    const std::array<std::int64_t, 1> rows = {row};
    const at::Tensor face = reader->read(rows, std::span(&there, 1), false);
    if (there == 0)
      throw data::DataError(protocol_.files.images + ": " +
                            (reader->problems().empty()
                                 ? std::string(protocol_.images.name(row)) + " cannot be read"
                                 : reader->problems().back()));
    rgb.resize(static_cast<std::size_t>(face.numel()));
    std::memcpy(rgb.data(), face.const_data_ptr(), rgb.size());
    give_back(std::move(reader));
  }

 private:
  std::unique_ptr<eval::LooseCrops> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<eval::LooseCrops>(protocol_, 1);
    auto reader = std::move(free_.back());
    free_.pop_back();
    return reader;
  }
  void give_back(std::unique_ptr<eval::LooseCrops> reader) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(reader));
  }

  const eval::IjbProtocol& protocol_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<eval::LooseCrops>> free_;
};

}  // namespace

struct TestImages::Impl {
  struct Place {
    std::size_t set;
    std::int64_t image;
  };
  std::vector<data::VerificationSet> sets;
  std::vector<Place> places;  ///< of the different images of .bin sets
  std::vector<eval::IjbProtocol> ijb;
  std::vector<std::unique_ptr<CropReaders>> crops;
  std::vector<std::int64_t> ijb_ends;  ///< after the images of .bin sets

  [[nodiscard]] std::int64_t of_bins() const { return static_cast<std::int64_t>(places.size()); }
  [[nodiscard]] bool is_crop(std::int64_t image) const { return image >= of_bins(); }
  [[nodiscard]] Place crop(std::int64_t image) const {
    const std::int64_t number = image - of_bins();
    const auto set =
        static_cast<std::size_t>(std::ranges::upper_bound(ijb_ends, number) - ijb_ends.begin());
    return {set, number - (set == 0 ? 0 : ijb_ends[set - 1])};
  }
};

TestImages::TestImages(const Config& config, Runtime& runtime) : impl_(std::make_unique<Impl>()) {
  Impl& i = *impl_;
  std::vector<std::string> names;
  dist::together<data::DataError>(runtime.control(), [&] {
    i.sets = read_sets(config);
    names = ijb_names(config.eval.ijb);
  });
  std::unordered_map<std::string_view, std::int64_t> seen;
  for (std::size_t s = 0; s < i.sets.size(); ++s) {
    for (std::size_t k = 0; k < i.sets[s].images.size(); ++k) {
      const auto& bytes = i.sets[s].images[k];
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      const auto [at, is_new] = seen.emplace(text, i.of_bins());
      if (is_new) i.places.push_back({s, static_cast<std::int64_t>(k)});
      image_of_row_.push_back(at->second);
    }
    rows_.push_back(static_cast<std::int64_t>(i.sets[s].images.size()));
  }
  for (std::size_t k = 0; k < names.size(); ++k) {
    i.ijb.push_back(eval::read_ijb_protocol(config.eval.ijb[k], runtime.control()));
    i.ijb.back().files.name = names[k];
    rows_.push_back(i.ijb.back().images.size());
    const std::int64_t before = i.ijb_ends.empty() ? 0 : i.ijb_ends.back();
    for (std::int64_t row = 0; row < rows_.back(); ++row)
      image_of_row_.push_back(i.of_bins() + before + row);
    i.ijb_ends.push_back(before + rows_.back());
  }
  for (const eval::IjbProtocol& protocol : i.ijb)
    i.crops.push_back(std::make_unique<CropReaders>(protocol));
}

TestImages::~TestImages() = default;

std::int64_t TestImages::size() const {
  return impl_->of_bins() + (impl_->ijb_ends.empty() ? 0 : impl_->ijb_ends.back());
}

std::int64_t TestImages::sets() const {
  return static_cast<std::int64_t>(rows_.size());
}

std::string TestImages::describe(std::int64_t image) const {
  if (!impl_->is_crop(image)) {
    const Impl::Place& place = impl_->places[static_cast<std::size_t>(image)];
    return data::describe_verification_image(impl_->sets[place.set].name, place.image);
  }
  const Impl::Place place = impl_->crop(image);
  const eval::IjbProtocol& protocol = impl_->ijb[place.set];
  return protocol.files.name + " image " + std::string(protocol.images.name(place.image));
}

ImageSource TestImages::source() const {
  const Impl& i = *impl_;
  return {"test images", size(),
          [&i](std::int64_t image, std::vector<std::byte>& bytes) {
            const Impl::Place& place = i.places[static_cast<std::size_t>(image)];
            bytes = i.sets[place.set].images[static_cast<std::size_t>(place.image)];
          },
          [&i](std::int64_t image, std::vector<std::uint8_t>& rgb) {
            if (!i.is_crop(image)) return false;
            const Impl::Place place = i.crop(image);
            i.crops[place.set]->read(place.image, rgb);
            return true;
          }};
}

void check_test_sets(const Config& config) {
  (void)read_sets(config);
  for (const std::string& folder : config.eval.ijb) (void)eval::find_ijb_files(folder);
}

}  // namespace diffprob::launch
