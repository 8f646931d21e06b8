#include "prune/lists/list_kinds.h"

#include <algorithm>
#include <array>
#include <vector>

#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/files/npy_file.h"

namespace diffprob::prune {
namespace {

constexpr std::array<ListKindInfo, 12> kKinds = {{
    {ListKind::kIndexSet, "index-set", ListMeaning::kKept,
     "diffprob HDF5 index set, with reasons and label map (.h5)"},
    {ListKind::kKeptIndex, "kept-index", ListMeaning::kKept,
     "text kept_index = [0, 3, ...], as the paper's code and diffprob write it"},
    {ListKind::kDroppedIndex, "dropped-index", ListMeaning::kDropped,
     "text dropped_index = [1, 2, ...]"},
    {ListKind::kComma, "comma", ListMeaning::kUnsaid,
     "text, comma-separated numbers without a name"},
    {ListKind::kAdaFace, "adaface", ListMeaning::kKept,
     "the same, as in AdaFace's subset files: one line of kept indices"},
    {ListKind::kLines, "lines", ListMeaning::kUnsaid, "text, one index per line"},
    {ListKind::kNpyIndex, "npy-index", ListMeaning::kUnsaid, ".npy of whole numbers: indices"},
    {ListKind::kCvlface, "cvlface", ListMeaning::kDropped,
     "the same, as in CVLface's resample files: dropped indices"},
    {ListKind::kNpyMask, "npy-mask", ListMeaning::kUnsaid, ".npy of bools, one per sample"},
    {ListKind::kCleanlab, "cleanlab", ListMeaning::kDropped,
     ".npy as cleanlab's find_label_issues returns it: a mask (True = issue) or indices of issues"},
    {ListKind::kNames, "names", ListMeaning::kUnsaid,
     "text, one image file per line (only for folders and .lst lists; needs --data)"},
    {ListKind::kMsCeleb, "ms-celeb", ListMeaning::kKept,
     "text, 'identity file' per line, as in C-MS-Celeb's clean list (needs --data)"},
}};

ListKind detect_npy(const std::string& path) {
  const NpyFile file(path);
  if (file.is_float())
    throw PruneError(
        path +
        ": floats, expected whole numbers or bools in a list of samples (floats are scores)");
  if (file.type() == NpyType::kBool) return ListKind::kNpyMask;
  if (file.type() != NpyType::kUint8) return ListKind::kNpyIndex;
  throw PruneError(
      path + ": bytes (u1): indices or a mask? Choose with --kind=npy-index or --kind=npy-mask");
}

bool is_whole_number(std::string_view text) {
  std::int64_t value = 0;
  return data::parse_number(text, value);
}

ListKind detect_text(const std::string& path) {
  data::TextLines lines(path);
  if (!lines.next())
    throw PruneError(
        path +
        ": an empty file (corrupted?); if the list is really empty, give its kind with --kind");
  const std::string_view first = lines.text();
  if (first.starts_with("kept_index")) return ListKind::kKeptIndex;
  if (first.starts_with("dropped_index")) return ListKind::kDroppedIndex;
  if (first.starts_with('[') ||
      first.find_first_not_of("0123456789, \t") == std::string_view::npos) {
    return is_whole_number(first) ? ListKind::kLines : ListKind::kComma;
  }
  if (first.starts_with('{')) lines.fail("a list of samples", first);
  double number = 0;
  if (data::parse_number(first, number))
    lines.fail("a sample index (a whole number, 0 or more)", first);
  return ListKind::kNames;
}

}  // namespace

const char* meaning_name(ListMeaning meaning) {
  if (meaning == ListMeaning::kUnsaid) return "not said";
  return meaning == ListMeaning::kKept ? "kept" : "dropped";
}

std::span<const ListKindInfo> list_kinds() {
  return kKinds;
}

const ListKindInfo& info_of(ListKind kind) {
  return kKinds.at(static_cast<std::size_t>(kind));
}

std::optional<ListKind> find_list_kind(std::string_view name) {
  const auto found = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const ListKindInfo& info) { return name == info.name; });
  return found == kKinds.end() ? std::nullopt : std::optional(found->kind);
}

ListKind detect_list_kind(const std::string& path) {
  // By name too, so that a damaged *.h5 or *.npy is not taken for text.
  if (path.ends_with(".h5") || is_hdf5_file(path)) return ListKind::kIndexSet;
  if (path.ends_with(".npy") || is_npy_file(path)) return detect_npy(path);
  return detect_text(path);
}

}  // namespace diffprob::prune
