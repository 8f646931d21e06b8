#include "eval/ijb/meta.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "data/error.h"
#include "eval/ijb/meta_lines.h"

namespace diffprob::eval {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTidMidForm = "'image template media'";
constexpr const char* kPointsForm = "'image x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 score'";
constexpr const char* kPairForm = "'template template label'";
constexpr std::size_t kPointNumbers = 10;

/// A file name of the image folder: nothing that leads out of it.
void check_name(const MetaLines& lines, std::string_view name) {
  const fs::path path(name);
  const bool up =
      std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
  if (path.is_absolute() || up || name.find('\0') != std::string_view::npos)
    lines.fail("'" + printable(name) + "' is not the name of a file in the image folder");
}

void add_points(const MetaLines& lines, IjbImages& images) {
  std::array<float, kPointNumbers> points{};
  for (std::size_t i = 0; i < kPointNumbers; ++i)
    points[i] = static_cast<float>(lines.real(1 + i, "a landmark coordinate"));
  images.landmarks.push_back(points);
  images.detector_score.push_back(
      static_cast<float>(lines.real(1 + kPointNumbers, "the detector score")));
}

std::optional<IjbFiles> files_of(const std::string& folder, const std::string& prefix,
                                 const std::string& name) {
  const std::string meta = folder + "/meta/" + prefix;
  IjbFiles files{name,
                 folder + "/loose_crop",
                 meta + "_face_tid_mid.txt",
                 meta + "_name_5pts_score.txt",
                 meta + "_template_pair_label.txt",
                 {},
                 ""};
  if (!fs::exists(files.face_tid_mid)) return std::nullopt;
  for (const char* gallery : {"S1", "S2", "G1", "G2"}) {
    const std::string path = meta + "_1N_gallery_" + gallery + ".csv";
    if (fs::exists(path)) files.galleries.push_back(path);
  }
  if (fs::exists(meta + "_1N_probe_mixed.csv")) files.probes = meta + "_1N_probe_mixed.csv";
  return files;
}

}  // namespace

IjbFiles find_ijb_files(const std::string& folder) {
  const auto b = files_of(folder, "ijbb", "IJB-B");
  const auto c = files_of(folder, "ijbc", "IJB-C");
  if (b && c)
    throw data::DataError(
        folder + "/meta holds files of both IJB-B and IJB-C: put each into a separate folder");
  if (!b && !c)
    throw data::DataError(folder +
                          ": expected meta/ijbb_face_tid_mid.txt or meta/ijbc_face_tid_mid.txt "
                          "(the folder IJBB or IJBC of "
                          "InsightFace's IJB_release)");
  const IjbFiles& files = b ? *b : *c;
  for (const auto& path : {files.name_5pts_score, files.template_pair_label}) {
    if (!fs::exists(path)) throw data::DataError(path + ": is missing");
  }
  return files;
}

std::string_view IjbImages::name(std::int64_t row) const {
  const auto i = static_cast<std::size_t>(row);
  const auto begin = static_cast<std::size_t>(i == 0 ? 0 : name_ends_[i - 1]);
  return std::string_view(names_).substr(begin, static_cast<std::size_t>(name_ends_[i]) - begin);
}

void IjbImages::add_name(std::string_view name) {
  names_ += name;
  name_ends_.push_back(static_cast<std::int64_t>(names_.size()));
}

IjbImages read_ijb_images(const IjbFiles& files) {
  IjbImages images;
  MetaLines media(files.face_tid_mid);
  MetaLines points(files.name_5pts_score);
  while (media.next()) {
    media.need_fields(3, kTidMidForm);
    check_name(media, media.fields()[0]);
    if (!points.next())
      throw data::DataError(files.name_5pts_score + ": ends after " +
                            std::to_string(images.size()) + " images, " + files.face_tid_mid +
                            " has more: the files must match row by row");
    points.need_fields(2 + kPointNumbers, kPointsForm);
    if (points.fields()[0] != media.fields()[0])
      points.fail("image '" + printable(points.fields()[0]) + "', but line " +
                  std::to_string(media.line_number()) + " of " + files.face_tid_mid + " has '" +
                  printable(media.fields()[0]) + "': the files must match row by row");
    images.add_name(media.fields()[0]);
    images.template_id.push_back(media.integer(1, "a template id"));
    images.media_id.push_back(media.integer(2, "a media id"));
    add_points(points, images);
  }
  if (points.next())
    points.fail("more images than the " + std::to_string(images.size()) + " of " +
                files.face_tid_mid);
  if (images.size() == 0) throw data::DataError(files.face_tid_mid + ": no images");
  return images;
}

std::optional<std::int32_t> index_of(const std::vector<std::int64_t>& ids, std::int64_t id) {
  const auto found = std::lower_bound(ids.begin(), ids.end(), id);
  if (found == ids.end() || *found != id) return std::nullopt;
  return static_cast<std::int32_t>(found - ids.begin());
}

namespace {

/// index_of() for millions of look-ups: ids are small numbers in these protocols, so a table
/// answers; anything else is searched.
class IdTable {
 public:
  explicit IdTable(const std::vector<std::int64_t>& ids) : ids_(ids) {
    constexpr std::int64_t kLargest = std::int64_t{1} << 22U;
    if (ids.empty() || ids.front() < 0 || ids.back() > kLargest) return;
    table_.assign(static_cast<std::size_t>(ids.back()) + 1, -1);
    for (std::size_t i = 0; i < ids.size(); ++i)
      table_[static_cast<std::size_t>(ids[i])] = static_cast<std::int32_t>(i);
  }

  [[nodiscard]] std::int32_t need(const MetaLines& lines, std::size_t field) const {
    const std::int64_t id = lines.integer(field, "a template id");
    if (const std::int32_t found = find(id); found >= 0) return found;
    lines.fail("template " + std::to_string(id) + " has no images in the face_tid_mid file");
  }

 private:
  [[nodiscard]] std::int32_t find(std::int64_t id) const {
    if (table_.empty()) return index_of(ids_, id).value_or(-1);
    return id >= 0 && id < static_cast<std::int64_t>(table_.size())
               ? table_[static_cast<std::size_t>(id)]
               : -1;
  }

  const std::vector<std::int64_t>& ids_;
  std::vector<std::int32_t> table_;
};

}  // namespace

TemplatePairs read_template_pairs(const std::string& path, const std::vector<std::int64_t>& ids,
                                  std::int64_t part, std::int64_t parts) {
  const IdTable table(ids);
  TemplatePairs pairs;
  MetaLines lines(path, ' ', part, parts);
  while (lines.next()) {
    lines.need_fields(3, kPairForm);
    pairs.first.push_back(table.need(lines, 0));
    pairs.second.push_back(table.need(lines, 1));
    const auto label = lines.fields()[2];
    if (label != "0" && label != "1")
      lines.fail("expected the label 0 or 1, found '" + printable(label) + "'");
    pairs.same.push_back(label == "1" ? 1 : 0);
  }
  return pairs;
}

SubjectList read_subject_list(const std::string& path, const std::vector<std::int64_t>& ids) {
  const IdTable table(ids);
  SubjectList list;
  list.name = fs::path(path).filename().string();
  MetaLines lines(path, ',');
  if (!lines.next())
    throw data::DataError(path + ": empty, expected a heading TEMPLATE_ID,SUBJECT_ID,...");
  std::unordered_map<std::int32_t, std::int64_t> subject_of;
  while (lines.next()) {
    if (lines.fields().size() < 2) lines.fail("expected 'template,subject,...', found one field");
    const std::int32_t index = table.need(lines, 0);
    const std::int64_t subject = lines.integer(1, "a subject id");
    const auto [known, is_new] = subject_of.emplace(index, subject);
    if (known->second != subject)
      lines.fail("template " + std::string(lines.fields()[0]) + " has subject " +
                 std::to_string(subject) + ", but on an earlier line it has " +
                 std::to_string(known->second));
    if (!is_new) continue;
    list.templates.push_back(index);
    list.subject.push_back(subject);
  }
  if (list.templates.empty()) throw data::DataError(path + ": no templates");
  return list;
}

}  // namespace diffprob::eval
