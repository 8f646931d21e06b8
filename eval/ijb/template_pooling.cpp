#include "eval/ijb/template_pooling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include <c10/util/Exception.h>

namespace diffprob::eval {
namespace {

void normalise(std::span<double> values) {
  double squares = 0;
  for (const double v : values) squares += v * v;
  if (squares == 0) return;
  const double length = std::sqrt(squares);
  for (double& v : values) v /= length;
}

bool one_or_zero(char c) {
  return c == '0' || c == '1';
}

}  // namespace

std::string PoolingVariant::name() const {
  return std::string("F") + (flip ? "1" : "0") + "N" + (norm_score ? "1" : "0") + "D" +
         (detector_score ? "1" : "0");
}

PoolingVariant parse_pooling_variant(const std::string& name) {
  const bool good = name.size() == 6 && name[0] == 'F' && name[2] == 'N' && name[4] == 'D' &&
                    one_or_zero(name[1]) && one_or_zero(name[3]) && one_or_zero(name[5]);
  TORCH_CHECK(good, "'", name,
              "' is not a pooling variant: expected F0N0D0 to F1N1D1, such as F1N1D1");
  return {name[1] == '1', name[3] == '1', name[5] == '1'};
}

TemplateOrder order_templates(const IjbImages& images) {
  TemplateOrder order;
  order.rows.resize(static_cast<std::size_t>(images.size()));
  std::iota(order.rows.begin(), order.rows.end(), std::int64_t{0});
  const auto key = [&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    return std::tuple(images.template_id[i], images.media_id[i], row);
  };
  std::sort(order.rows.begin(), order.rows.end(),
            [&](std::int64_t a, std::int64_t b) { return key(a) < key(b); });
  for (std::size_t position = 0; position < order.rows.size(); ++position) {
    const std::int64_t id = images.template_id[static_cast<std::size_t>(order.rows[position])];
    if (!order.ids.empty() && order.ids.back() == id) continue;
    order.ids.push_back(id);
    order.begin.push_back(static_cast<std::int64_t>(position));
  }
  order.begin.push_back(images.size());
  return order;
}

std::pair<std::int64_t, std::int64_t> templates_of_rank(const TemplateOrder& order,
                                                        std::int64_t rank, std::int64_t ranks) {
  const auto images = static_cast<std::int64_t>(order.rows.size());
  const auto border = [&](std::int64_t r) {
    const std::int64_t position = images / ranks * r + images % ranks * r / ranks;
    return std::lower_bound(order.begin.begin(), order.begin.end() - 1, position) -
           order.begin.begin();
  };
  return {rank == 0 ? 0 : border(rank), rank + 1 == ranks ? order.templates() : border(rank + 1)};
}

TemplatePooler::TemplatePooler(const TemplateOrder& order, const IjbImages& images,
                               std::vector<PoolingVariant> variants, std::int64_t dim,
                               std::int64_t views, std::pair<std::int64_t, std::int64_t> range)
    : order_(order),
      images_(images),
      variants_(std::move(variants)),
      dim_(dim),
      views_(views),
      range_(range),
      template_(range.first),
      position_(order.begin[static_cast<std::size_t>(range.first)]),
      image_(static_cast<std::size_t>(dim)) {
  for (const auto& variant : variants_)
    TORCH_CHECK(views == 2 || !variant.flip, variant.name(),
                " adds the feature of the mirror image, but there is only one feature per image");
  media_.assign(variants_.size(), std::vector<double>(static_cast<std::size_t>(dim), 0));
  pooled_.assign(
      variants_.size(),
      std::vector<double>(static_cast<std::size_t>((range.second - range.first) * dim), 0));
}

void TemplatePooler::add(std::span<const float> feature) {
  TORCH_CHECK(template_ < range_.second, "template pooling: more images than the templates have");
  const std::int64_t row = order_.rows[static_cast<std::size_t>(position_)];
  if (!feature.empty()) add_to_media(feature, row);
  ++position_;
  const bool template_ends = position_ == order_.begin[static_cast<std::size_t>(template_) + 1];
  const auto media_at = [&](std::int64_t r) {
    return images_.media_id[static_cast<std::size_t>(r)];
  };
  if (template_ends || media_at(order_.rows[static_cast<std::size_t>(position_)]) != media_at(row))
    close_media();
  if (template_ends) close_template();
}

void TemplatePooler::add_to_media(std::span<const float> feature, std::int64_t row) {
  TORCH_CHECK(static_cast<std::int64_t>(feature.size()) == views_ * dim_,
              "template pooling: expected ", views_ * dim_, " numbers per image, got ",
              feature.size());
  const bool finite =
      std::all_of(feature.begin(), feature.end(), [](float v) { return std::isfinite(v); });
  TORCH_CHECK(finite, "the feature of image ", images_.name(row), " (row ", row, ") is not finite");
  const auto dim = static_cast<std::size_t>(dim_);
  for (std::size_t v = 0; v < variants_.size(); ++v) {
    const PoolingVariant& variant = variants_[v];
    for (std::size_t i = 0; i < dim; ++i)
      image_[i] = variant.flip ? double{feature[i]} + double{feature[dim + i]} : double{feature[i]};
    if (!variant.norm_score) normalise(image_);
    const double weight = variant.detector_score
                              ? double{images_.detector_score[static_cast<std::size_t>(row)]}
                              : 1.0;
    for (std::size_t i = 0; i < dim; ++i) media_[v][i] += weight * image_[i];
  }
  ++media_images_;
}

void TemplatePooler::close_media() {
  if (media_images_ == 0) return;
  const auto count = static_cast<double>(media_images_);
  for (std::size_t v = 0; v < variants_.size(); ++v) {
    double* const sum = template_feature(v);
    for (std::size_t i = 0; i < media_[v].size(); ++i) sum[i] += media_[v][i] / count;
    std::fill(media_[v].begin(), media_[v].end(), 0.0);
  }
  media_images_ = 0;
  ++template_media_;
}

void TemplatePooler::close_template() {
  for (std::size_t v = 0; v < variants_.size(); ++v)
    normalise({template_feature(v), static_cast<std::size_t>(dim_)});
  empty_templates_ += template_media_ == 0 ? 1 : 0;
  template_media_ = 0;
  ++template_;
}

std::vector<std::vector<double>> TemplatePooler::finish() {
  TORCH_CHECK(template_ == range_.second, "template pooling: ", range_.second - template_,
              " templates still lack images");
  return std::move(pooled_);
}

}  // namespace diffprob::eval
