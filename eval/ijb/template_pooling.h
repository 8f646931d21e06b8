#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/ijb/meta.h"

namespace diffprob::eval {

/// The three switches of the IJB scripts of InsightFace and the paper, written F1N1D1.
/// The trap is N: use_norm_score = 1 means that the length of a feature counts (features stay as
/// they are); 0 means that features are L2-normalised first. Tables and file names of others call
/// either of the two "N1" or "norm"; here it is always the script's switch.
struct PoolingVariant {
  /// F1: feature of the image + that of its mirror image; F0: of the image alone.
  bool flip = true;
  bool norm_score = true;  ///< N1: length kept; N0: L2-normalised first (a feature of zeros stays)
  bool detector_score = true;  ///< D1: multiplied by the detector's score; D0: not

  [[nodiscard]] std::string name() const;  ///< "F1N1D1"
};
/// Throws c10::Error unless `name` is one of F0N0D0 ... F1N1D1.
[[nodiscard]] PoolingVariant parse_pooling_variant(const std::string& name);

/// Which images make each template, in the order in which they are pooled. T templates, N images.
struct TemplateOrder {
  std::vector<std::int64_t> ids;    ///< [T] distinct template ids, ascending
  std::vector<std::int64_t> begin;  ///< [T + 1] template t has positions [begin[t], begin[t + 1])
  /// [N], image row at each position: by template, then media, then row.
  std::vector<std::int64_t> rows;

  [[nodiscard]] std::int64_t templates() const { return static_cast<std::int64_t>(ids.size()); }
};
[[nodiscard]] TemplateOrder order_templates(const IjbImages& images);

/// [first, second) of the templates that a rank pools: about equally many images each, no template
/// twice.
[[nodiscard]] std::pair<std::int64_t, std::int64_t> templates_of_rank(const TemplateOrder& order,
                                                                      std::int64_t rank,
                                                                      std::int64_t ranks);

/// Image features -> template features: mean over the images of a media id within a template
/// (frames of a video), sum over its media, L2-normalised. float64 arithmetic in a fixed order: a
/// template's feature depends on its images alone. Holds one media at a time. An image without a
/// feature is left out, a media without images too; a template without any becomes zeros.
class TemplatePooler {
 public:
  /// For templates [range.first, range.second). views: features an image (2: image, mirror image;
  /// 1: image alone, F0 variants only). The referenced objects must outlive it.
  TemplatePooler(const TemplateOrder& order, const IjbImages& images,
                 std::vector<PoolingVariant> variants, std::int64_t dim, std::int64_t views,
                 std::pair<std::int64_t, std::int64_t> range);

  /// The image at the next position. feature: [views, dim] float32; empty: the image has none.
  /// Throws c10::Error when a value is not finite (it names the image).
  void add(std::span<const float> feature);
  /// Features [variants][templates of the range * dim]. Throws c10::Error unless every position of
  /// the range was added.
  [[nodiscard]] std::vector<std::vector<double>> finish();
  [[nodiscard]] std::int64_t empty_templates() const noexcept { return empty_templates_; }

 private:
  void add_to_media(std::span<const float> feature, std::int64_t row);
  void close_media();
  void close_template();
  [[nodiscard]] double* template_feature(std::size_t variant) {
    return pooled_[variant].data() + static_cast<std::size_t>((template_ - range_.first) * dim_);
  }

  const TemplateOrder& order_;
  const IjbImages& images_;
  std::vector<PoolingVariant> variants_;
  std::int64_t dim_;
  std::int64_t views_;
  std::pair<std::int64_t, std::int64_t> range_;
  std::int64_t template_;
  std::int64_t position_;
  std::int64_t media_images_ = 0;    ///< with a feature, of the media that is open
  std::int64_t template_media_ = 0;  ///< with a feature, of the template that is open
  std::int64_t empty_templates_ = 0;
  std::vector<double> image_;               ///< [dim] one image, as a variant sees it
  std::vector<std::vector<double>> media_;  ///< [variants][dim] sums over the open media
  std::vector<std::vector<double>> pooled_;
};

}  // namespace diffprob::eval
