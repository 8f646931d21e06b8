#include "prune/lists/index_set_writer.h"

namespace diffprob::prune {

void write_index_set_head(HdfWriter& file, const IndexSet& set) {
  file.attribute("format", std::string(kIndexSetFormat));
  file.attribute("format_version", kIndexSetVersion);
  file.attribute("dataset_fingerprint", set.dataset_fingerprint);
  file.attribute("num_samples", set.num_samples);
  file.attribute("method", set.method);
  file.attribute("threshold", set.threshold);
}

void write_kept_of_whole(HdfWriter& file, const KeptOfWhole& whole) {
  file.attribute(kWholeFingerprint, whole.fingerprint);
  file.attribute(kWholeSamples, whole.num_samples);
  file.dataset<std::int64_t>(kWholeKept, whole.kept);
  file.dataset<std::int64_t>(kWholeLabelMap, whole.label_map);
}

IndexSetWriter::IndexSetWriter(const std::string& path, const IndexSet& head, std::int64_t kept)
    : file_(path),
      label_map_(head.label_map),
      kept_(file_.column<std::int64_t>("kept", static_cast<std::size_t>(kept))),
      reasons_(file_.column<std::uint8_t>("reason", static_cast<std::size_t>(head.num_samples))) {
  write_index_set_head(file_, head);
}

void IndexSetWriter::append(std::span<const Reason> reasons) {
  kept_of_piece_.clear();
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (is_kept(reasons[i])) kept_of_piece_.push_back(next_ + static_cast<std::int64_t>(i));
  }
  kept_.append(kept_of_piece_);
  reasons_.append({reinterpret_cast<const std::uint8_t*>(reasons.data()), reasons.size()});
  next_ += static_cast<std::int64_t>(reasons.size());
}

void IndexSetWriter::finish(const KeptOfWhole* whole) {
  kept_.finish();
  reasons_.finish();
  file_.dataset<std::int64_t>("label_map", label_map_);
  if (whole != nullptr) write_kept_of_whole(file_, *whole);
  file_.commit();
}

}  // namespace diffprob::prune
