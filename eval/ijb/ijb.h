#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "eval/ijb/identification.h"
#include "eval/ijb/meta.h"
#include "eval/ijb/template_pooling.h"
#include "eval/metrics/roc.h"

namespace diffprob::eval {

/// The protocol as this rank holds it: all images and templates, its share of the pairs.
struct IjbProtocol {
  IjbFiles files;
  IjbImages images;
  TemplateOrder templates;
  TemplatePairs pairs;                 ///< of this rank
  std::vector<SubjectList> galleries;  ///< 1:N lists, where the files are there
  std::optional<SubjectList> probes;
};
/// folder: with meta/ (see IjbFiles). Throws data::DataError on all ranks when a file is damaged.
/// Collective.
[[nodiscard]] IjbProtocol read_ijb_protocol(const std::string& folder,
                                            dist::HostCollectives& control);

/// Where features of images come from: a network, a file, a generator.
struct ImageFeatures {
  std::int64_t dim = 0;
  std::int64_t views = 2;  ///< 2: image and mirror image; 1: image alone
  /// Image rows [b] -> features [b, views, dim] and whether each is there [b] (1; 0: the image is
  /// missing or bad). A block has the same rows whatever the number of ranks; a rank calls it for
  /// its own share alone. Not collective.
  std::function<void(std::span<const std::int64_t> rows, std::span<float> features,
                     std::span<std::uint8_t> there)>
      read;
  std::int64_t block = 1;  ///< rows that read() works on together: groups start at multiples of it
                           ///< in the order of templates
  std::int64_t at_least = 1;  ///< rows that keep all its threads busy
};

struct IjbOptions {
  std::vector<PoolingVariant> variants;  ///< at least one
  std::vector<double> fars = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1};
  std::int64_t batch = 64;  ///< images asked for at once, rounded up to whole blocks
  int curve_points = 50;    ///< of IjbVariantResult::curve, per decade of FAR
  /// Takes the scores of this rank's pairs in their order, [own pairs]; called on every rank, once
  /// per variant. May be collective. May be empty.
  std::function<void(const PoolingVariant& variant, std::span<const double> scores)> take_scores;
  /// This rank's images so far, of how many.
  std::function<void(std::int64_t done, std::int64_t total)> progress;
};

/// 1:1 and, where the lists are there, 1:N results with one way of pooling.
struct IjbVariantResult {
  PoolingVariant variant;
  std::int64_t genuine = 0;    ///< pairs
  std::int64_t impostors = 0;  ///< pairs; a FAR below 1 / impostors means nothing
  double auc = 0;
  double eer = 0;
  std::vector<TarAtFar> tar;
  std::vector<RocPoint> curve;  ///< Roc::points(IjbOptions::curve_points)
  std::vector<IdentificationResult> identification;
};

struct IjbResult {
  std::string name;  ///< "IJB-C"
  std::int64_t images = 0;
  std::int64_t templates = 0;
  std::int64_t pairs = 0;
  /// Rows without a feature: their templates are pooled without them.
  std::vector<std::int64_t> missing_images;
  /// Number of templates that have no image left: they score 0 with every other.
  std::int64_t empty_templates = 0;
  std::vector<IjbVariantResult> variants;
};

/// Pools features to templates, scores the pairs, measures. Ranks share images (whole templates
/// each) and pairs. Results are the same bits on all ranks and for any number of them, given the
/// same features. Memory a rank: 8 * T * dim bytes for the templates, about 40 bytes a pair of its
/// own, on rank 0 about 40 a pair of all; the features of images are never held together. Throws on
/// all ranks when a feature is not finite. Collective.
[[nodiscard]] IjbResult evaluate_ijb(const IjbProtocol& protocol, const ImageFeatures& features,
                                     const IjbOptions& options, dist::HostCollectives& control);

}  // namespace diffprob::eval
