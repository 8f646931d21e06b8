#include "data/sets/image_files.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "data/error.h"
#include "data/files/input_file.h"
#include "data/files/sha256.h"

namespace diffprob::data {
namespace {

constexpr std::int64_t kLargestImageFile = std::int64_t{1} << 29;

}  // namespace

ImageFiles::ImageFiles(std::string folder, std::string kind, std::string hint)
    : folder_(std::move(folder)), kind_(std::move(kind)), hint_(std::move(hint)) {}

void ImageFiles::add(std::string_view name, std::uint32_t label) {
  names_ += name;
  ends_.push_back(static_cast<std::int64_t>(names_.size()));
  labels_.push_back(label);
}

void ImageFiles::leave_out(const std::string& message) {
  if (left_out_.count++ == 0) left_out_.first = message;
}

void ImageFiles::finish() {
  if (labels_.empty()) throw DataError(folder_ + ": no images");
  num_classes_ = std::int64_t{*std::ranges::max_element(labels_)} + 1;
}

void ImageFiles::fail_missing(const std::string& file) const {
  throw DataError(file + ": does not exist" + hint_);
}

std::size_t ImageFiles::checked(std::int64_t index) const {
  if (index < 0 || index >= size())
    throw DataError(folder_ + ": sample " + std::to_string(index) + " of " +
                    std::to_string(size()));
  return static_cast<std::size_t>(index);
}

std::string_view ImageFiles::name(std::size_t index) const {
  const auto begin = static_cast<std::size_t>(index == 0 ? 0 : ends_[index - 1]);
  return std::string_view(names_).substr(begin, static_cast<std::size_t>(ends_[index]) - begin);
}

std::string ImageFiles::path(std::size_t index) const {
  return (std::filesystem::path(folder_) / name(index)).string();
}

void ImageFiles::read(std::int64_t index, std::vector<std::byte>& bytes) const {
  const auto file = path(checked(index));
  std::error_code error;
  if (!std::filesystem::exists(file, error) && !error) fail_missing(file);
  read_whole_file(file, kLargestImageFile, bytes);
  if (bytes.empty()) throw DataError(file + ": expected an image, found an empty file");
}

std::int64_t ImageFiles::bytes_of(const std::string& file) const {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(file, error);
  if (error == std::errc::no_such_file_or_directory) fail_missing(file);
  if (error) throw DataError(file + ": " + error.message());
  return static_cast<std::int64_t>(bytes);
}

std::optional<std::int64_t> ImageFiles::encoded_bytes(std::int64_t index) const {
  return bytes_of(path(checked(index)));
}

std::string ImageFiles::describe(std::int64_t index) const {
  return std::string(name(checked(index)));
}

std::string ImageFiles::fingerprint() const {
  Sha256 digest;
  digest.update(kind_);
  digest.update(size());
  digest.update(num_classes_);
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    digest.update(std::int64_t{labels_[i]});
    digest.update(bytes_of(path(i)));
    digest.update(static_cast<std::int64_t>(name(i).size()));
    digest.update(name(i));
  }
  return digest.hex();
}

}  // namespace diffprob::data
