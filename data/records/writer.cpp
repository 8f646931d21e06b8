#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include <unistd.h>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/records/format.h"
#include "data/records/record_io.h"
#include "data/sets/class_count.h"

namespace diffprob::data {
namespace {

template <typename T>
void append(std::vector<std::byte>& out, T value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void create_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw DataError(folder + ": cannot be created: " + error.message());
}

std::string inside(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

/// Image header with a scalar label (flag 0): the unmodified data sets of arcface_torch and CVLface
/// take the label of a record with flag 2 as an array and stop.
std::vector<std::byte> pack_image_header(std::int64_t key, std::int64_t label) {
  std::vector<std::byte> payload;
  append(payload, std::uint32_t{0});
  append(payload, static_cast<float>(label));
  append(payload, static_cast<std::uint64_t>(key));
  append(payload, std::uint64_t{0});
  return payload;
}

/// Header or identity record, with two labels (flag 2) as face2rec2 packs them.
std::vector<std::byte> pack_range(std::int64_t key, std::int64_t first, std::int64_t second) {
  std::vector<std::byte> payload;
  append(payload, std::uint32_t{2});
  append(payload, 0.0f);
  append(payload, static_cast<std::uint64_t>(key));
  append(payload, key == 0 ? kScalarLabelsMark : std::uint64_t{0});
  append(payload, static_cast<float>(first));
  append(payload, static_cast<float>(second));
  return payload;
}

}  // namespace

struct RecordWriter::Impl {
  Impl(const std::string& target, int size, RecordLayout form)
      : folder(target),
        image_size(size),
        layout(form),
        records(inside(target, "train.rec")),
        index(inside(target, "train.idx")) {}

  void write_part(PartKind kind, std::span<const std::byte> payload);
  void write_record(std::int64_t key, std::span<const std::byte> payload);
  void write_identities();
  void check_order(std::int64_t label, const std::string& what) const;

  std::string folder;
  int image_size;
  RecordLayout layout;
  AtomicFile records;
  AtomicFile index;
  std::vector<std::int64_t> first_keys;  // [classes] key of the first image of each identity
  std::int64_t classes = 0;
  std::vector<std::unique_ptr<AtomicFile>> companions;
  std::int64_t images = 0;
  bool finished = false;
};

void RecordWriter::Impl::write_part(PartKind kind, std::span<const std::byte> payload) {
  std::vector<std::byte> head;
  append(head, kRecordMagic);
  append(head, static_cast<std::uint32_t>(kind) << kLengthBits |
                   static_cast<std::uint32_t>(payload.size()));
  records.write(head);
  records.write(payload);
  const auto padding = padded_to_word(static_cast<std::int64_t>(payload.size())) -
                       static_cast<std::int64_t>(payload.size());
  records.write(std::string_view("\0\0\0", static_cast<std::size_t>(padding)));
}

/// A payload that holds the magic number at a word boundary is split there and the number dropped:
/// readers search for it to resynchronise.
void RecordWriter::Impl::write_record(std::int64_t key, std::span<const std::byte> payload) {
  index.write(std::to_string(key) + "\t" + std::to_string(records.size()) + "\n");
  std::size_t begin = 0;
  for (std::size_t at = 0; at + 4 <= payload.size(); at += 4) {
    if (std::memcmp(payload.data() + at, &kRecordMagic, 4) != 0) continue;
    write_part(begin == 0 ? PartKind::kStart : PartKind::kMiddle,
               payload.subspan(begin, at - begin));
    begin = at + 4;
  }
  write_part(begin == 0 ? PartKind::kWhole : PartKind::kEnd, payload.subspan(begin));
}

/// Header record under key 0, then one record an identity: [first image key, last image key + 1].
void RecordWriter::Impl::write_identities() {
  write_record(0, pack_range(0, images + 1, images + 1 + classes));
  for (std::int64_t c = 0; c < classes; ++c) {
    const auto next = c + 1 < classes ? first_keys[static_cast<std::size_t>(c + 1)] : images + 1;
    const auto key = images + 1 + c;
    write_record(key, pack_range(key, first_keys[static_cast<std::size_t>(c)], next));
  }
}

void RecordWriter::Impl::check_order(std::int64_t label, const std::string& what) const {
  if (layout == RecordLayout::kIm2rec && label >= 0) return;
  if (label != classes && (label != classes - 1 || classes == 0))
    throw DataError(what + "label " + std::to_string(label) + ", expected " +
                    (classes > 0 ? std::to_string(classes - 1) + " or " : "") +
                    std::to_string(classes) +
                    " (labels must come in order without gaps; `diffprob data pack "
                    "--data.labels=dense` renumbers them)");
}

RecordWriter::RecordWriter(std::string folder, int image_size, RecordLayout layout) {
  create_folder(folder);
  impl_ = std::make_unique<Impl>(folder, image_size, layout);
}

RecordWriter::~RecordWriter() = default;

void RecordWriter::add(std::int64_t label, std::span<const std::byte> encoded_image) {
  auto& state = *impl_;
  const auto what = state.folder + ", image " + std::to_string(state.images + 1) + ": ";
  if (state.finished) throw DataError(what + "added after finish()");
  state.check_order(label, what);
  if (encoded_image.empty() || encoded_image.size() + 32 > kLengthMask)
    throw DataError(what + std::to_string(encoded_image.size()) + " bytes cannot be a record");
  if (label >= kExactFloats)
    throw DataError(what + "label " + std::to_string(label) +
                    " does not fit into the float32 of the format");
  const auto index = state.images++;
  const auto key = state.layout == RecordLayout::kIm2rec ? index : state.images;
  if (label == state.classes) state.first_keys.push_back(key);
  state.classes = std::max(state.classes, label + 1);
  auto payload = pack_image_header(key, label);
  payload.insert(payload.end(), encoded_image.begin(), encoded_image.end());
  state.write_record(key, payload);
}

void RecordWriter::add_companion(const std::string& name, std::string_view content) {
  auto& state = *impl_;
  if (state.finished) throw DataError(state.folder + "/" + name + ": added after finish()");
  state.companions.push_back(std::make_unique<AtomicFile>(inside(state.folder, name.c_str())));
  state.companions.back()->write(content);
}

void RecordWriter::finish() {
  auto& state = *impl_;
  if (state.finished) return;
  if (state.images == 0) throw DataError(state.folder + ": no images to write");
  if (state.layout == RecordLayout::kInsightFace) state.write_identities();
  AtomicFile property(inside(state.folder, "property"));
  const auto side = std::to_string(state.image_size);
  property.write(std::to_string(state.classes) + "," + side + "," + side + "\n");
  state.records.close();
  state.index.close();
  property.close();
  for (const auto& companion : state.companions) companion->close();
  // train.rec makes the set: an old one goes first, the new one comes last, so no reader ever sees
  // a mixture.
  ::unlink(inside(state.folder, "train.rec").c_str());
  for (const auto& companion : state.companions) companion->commit();
  property.commit();
  state.index.commit();
  state.records.commit();
  state.finished = true;
}

}  // namespace diffprob::data
