// The check behind `diffprob data check`, which goes on behind all damage: a train.rec with or
// without train.idx and property, or a .lst: [choice][idx behind its length][property behind its
// length][rec or lst]. What it calls sound must be sound: it decodes, and packed alone the check
// finds nothing in it.
#include <algorithm>
#include <vector>

#include "data/check/check_dataset.h"
#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "data/records/pack_records.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

namespace {

/// A set of more is not packed: the map of its labels would take the time of thousands of inputs.
constexpr std::int64_t kMostClasses = 1 << 20;

void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

std::vector<std::int64_t> sound_samples(const data::CheckReport& report) {
  const auto& set = *report.samples;
  demand(static_cast<std::int64_t>(report.verdicts.size()) == set.size(),
         "a verdict for every sample");
  for (const auto& finding : report.findings)
    demand(finding.index < set.size() && finding.other < std::max(set.size(), report.num_classes),
           "findings are about samples that exist");
  demand(report.open_error.empty() || !report.findings.empty(),
         "what training refuses has a finding");
  std::vector<std::int64_t> sound;
  for (std::int64_t i = 0; i < set.size(); ++i)
    if (report.verdicts[static_cast<std::size_t>(i)] == data::SampleVerdict::kSound)
      sound.push_back(i);
  return sound;
}

void expect_decodes(const data::Dataset& set, const std::vector<std::int64_t>& samples) {
  static data::ImageDecoder decoder;
  std::vector<std::byte> bytes;
  data::DecodedImage image;
  for (const auto index : samples) {
    demand(set.label(index) >= 0 && set.label(index) < set.num_classes(),
           "labels are below the number of classes");
    set.read(index, bytes);
    decoder.decode(bytes, image);
  }
}

void check(const std::string& path, const std::string& repaired,
           const data::CheckOptions& options) {
  data::CheckReport report;
  // Where there is nothing to look at; must name the file.
  fuzz::expect_reads_or<data::DataError>(path,
                                         [&] { report = data::check_dataset(path, options); });
  if (report.samples == nullptr) return;
  const auto sound = sound_samples(report);
  if (sound.empty() || report.num_classes > kMostClasses) return;
  try {
    expect_decodes(*report.samples, sound);
    static_cast<void>(data::pack_subset(report.samples, sound, {}, repaired));
    const auto again = data::check_dataset(repaired, options);
    for (const auto& finding : again.findings)
      std::fprintf(stderr, "%s: %s\n", data::name_of(finding.kind), finding.message.c_str());
    demand(again.findings.empty() && again.open_error.empty(),
           "sound samples alone make a sound set");
  } catch (const data::DataError& error) {
    std::fprintf(stderr, "a sound sample is refused: %s\n", error.what());
    std::abort();
  }
}

/// What a list may name; the last is cut off.
void put_images(const fuzz::InputFolder& folder) {
  const std::vector<std::uint8_t> grey(3, 128);
  const auto jpeg = data::encode_jpeg(grey, 1, 1, 90);
  const std::string bytes(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
  folder.put("a", bytes);
  folder.put("b", bytes + '\0');
  folder.put("c", bytes.substr(0, bytes.size() / 2));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto& folder = fuzz::input_folder();
  const unsigned choice = input.choice(16);
  const std::string index = input.piece();
  const std::string property = input.piece();
  for (const char* name : {"train.rec", "train.idx", "property"}) folder.remove(name);
  data::CheckOptions options;
  if ((choice & 4U) != 0) options.image_size = 0;
  if ((choice & 8U) != 0) {
    put_images(folder);
    check(folder.put("faces.lst", input.rest()), folder.path() + "/repaired", options);
    return 0;
  }
  if ((choice & 1U) != 0) folder.put("train.idx", index);
  if ((choice & 2U) != 0) folder.put("property", property);
  check(folder.put("train.rec", input.rest()), folder.path() + "/repaired", options);
  return 0;
}
