#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "eval/ijb/meta.h"
#include "eval/ijb/template_pooling.h"

namespace diffprob::tests {

/// The protocol's pooling word by word, with maps. features [N][views * dim]; an empty row is a
/// missing image. -> template id: feature.
inline std::map<std::int64_t, std::vector<double>> slow_pooling(
    const eval::IjbImages& images, const std::vector<std::vector<float>>& features, std::size_t dim,
    const eval::PoolingVariant& variant) {
  std::map<std::int64_t, std::map<std::int64_t, std::vector<std::vector<double>>>> media;
  std::map<std::int64_t, std::vector<double>> templates;
  for (std::size_t row = 0; row < features.size(); ++row) {
    templates[images.template_id[row]].assign(dim, 0);
    if (features[row].empty()) continue;
    std::vector<double> f(dim);
    double squares = 0;
    for (std::size_t i = 0; i < dim; ++i) {
      f[i] = double{features[row][i]} + (variant.flip ? double{features[row][dim + i]} : 0.0);
      squares += f[i] * f[i];
    }
    for (double& v : f) {
      if (!variant.norm_score && squares > 0) v /= std::sqrt(squares);
      if (variant.detector_score) v *= double{images.detector_score[row]};
    }
    media[images.template_id[row]][images.media_id[row]].push_back(f);
  }
  for (auto& [id, of_template] : media) {
    auto& sum = templates[id];
    for (const auto& [media_id, list] : of_template) {
      for (const auto& f : list) {
        for (std::size_t i = 0; i < dim; ++i) sum[i] += f[i] / static_cast<double>(list.size());
      }
    }
    double squares = 0;
    for (const double v : sum) squares += v * v;
    for (double& v : sum) v /= squares > 0 ? std::sqrt(squares) : 1;
  }
  return templates;
}

}  // namespace diffprob::tests
