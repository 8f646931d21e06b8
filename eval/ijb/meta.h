#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::eval {

/// The files of an IJB folder as InsightFace's release lays them out: FOLDER/meta/ijb{b,c}_*.txt
/// and FOLDER/loose_crop/.
struct IjbFiles {
  std::string name;    ///< "IJB-B" or "IJB-C"
  std::string images;  ///< loose_crop folder
  std::string face_tid_mid;
  std::string name_5pts_score;
  std::string template_pair_label;
  std::vector<std::string> galleries;  ///< *_1N_gallery_{S1,S2,G1,G2}.csv, those that are there
  std::string probes;                  ///< *_1N_probe_mixed.csv, "" when there is none
};
/// Throws data::DataError when the three text files of one protocol are not there, or those of both
/// are.
[[nodiscard]] IjbFiles find_ijb_files(const std::string& folder);

/// Row i of both image files. N rows; 5 landmarks are x1, y1, .. x5, y5 in pixels of the loose
/// crop.
struct IjbImages {
  std::vector<std::int64_t> template_id;         ///< [N]
  std::vector<std::int64_t> media_id;            ///< [N] frames of one video share it
  std::vector<std::array<float, 10>> landmarks;  ///< [N]
  std::vector<float> detector_score;             ///< [N]

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(template_id.size()); }
  [[nodiscard]] std::string_view name(std::int64_t row) const;  ///< of the file: "1.jpg"
  void add_name(std::string_view name);

 private:
  std::string names_;
  std::vector<std::int64_t> name_ends_;
};
/// Joins the two files by row. Throws data::DataError that names file and line: names of a row that
/// differ, names that lead out of the image folder, files of different length, numbers that are
/// none, no rows.
[[nodiscard]] IjbImages read_ijb_images(const IjbFiles& files);

/// Pairs of templates, as indices into a sorted list of template ids.
struct TemplatePairs {
  std::vector<std::int32_t> first;   ///< [P]
  std::vector<std::int32_t> second;  ///< [P]
  std::vector<std::uint8_t> same;    ///< [P] 1: genuine

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(same.size()); }
};
/// Part `part` of `parts` of template_pair_label.txt (see MetaLines); all parts together are the
/// file. `ids`: sorted. Throws data::DataError that names file and line: a template that has no
/// images, a label other than 0 and 1.
[[nodiscard]] TemplatePairs read_template_pairs(const std::string& path,
                                                const std::vector<std::int64_t>& ids,
                                                std::int64_t part = 0, std::int64_t parts = 1);

/// One list of the 1:N protocol: TEMPLATE_ID, SUBJECT_ID, ... with a heading; lines that repeat a
/// template are taken once.
struct SubjectList {
  std::string name;                     ///< of the file
  std::vector<std::int32_t> templates;  ///< [K] indices into the sorted list of template ids
  std::vector<std::int64_t> subject;    ///< [K]
};
[[nodiscard]] SubjectList read_subject_list(const std::string& path,
                                            const std::vector<std::int64_t>& ids);

/// Index of an id in a sorted list.
[[nodiscard]] std::optional<std::int32_t> index_of(const std::vector<std::int64_t>& ids,
                                                   std::int64_t id);

}  // namespace diffprob::eval
