#include "eval/ijb/ijb.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include <c10/util/Exception.h>

#include "data/error.h"
#include "dist/mpi/agreement.h"
#include "eval/ijb/pair_scores.h"

namespace diffprob::eval {

IjbProtocol read_ijb_protocol(const std::string& folder, dist::HostCollectives& control) {
  IjbProtocol protocol;
  dist::together<data::DataError>(control, [&] {
    protocol.files = find_ijb_files(folder);
    protocol.images = read_ijb_images(protocol.files);
    protocol.templates = order_templates(protocol.images);
    protocol.pairs = read_template_pairs(protocol.files.template_pair_label, protocol.templates.ids,
                                         control.rank(), control.world_size());
    if (protocol.files.probes.empty()) return;
    for (const auto& gallery : protocol.files.galleries)
      protocol.galleries.push_back(read_subject_list(gallery, protocol.templates.ids));
    protocol.probes = read_subject_list(protocol.files.probes, protocol.templates.ids);
  });
  return protocol;
}

namespace {

/// Template features of a rank's share of the templates, and what was missing. Positions are cut
/// into the same blocks whatever the number of ranks; a rank asks for every block that its
/// templates touch. Neighbours both ask for the one at their border: that costs one block, and an
/// image always meets the same others in its block.
class OwnTemplates {
 public:
  OwnTemplates(const IjbProtocol& protocol, const ImageFeatures& features,
               const IjbOptions& options, std::pair<std::int64_t, std::int64_t> range)
      : order_(protocol.templates),
        features_(features),
        options_(options),
        begin_(order_.begin[static_cast<std::size_t>(range.first)]),
        end_(order_.begin[static_cast<std::size_t>(range.second)]),
        batch_rows_((std::max(options.batch, features.at_least) + features.block - 1) /
                    features.block * features.block),
        next_(begin_ / features.block * features.block),
        pooler_(order_, protocol.images, options.variants, features.dim, features.views, range),
        batch_(static_cast<std::size_t>(batch_rows_ * features.views * features.dim)),
        there_(static_cast<std::size_t>(batch_rows_)) {}

  [[nodiscard]] std::int64_t batches() const {
    return end_ <= next_ ? 0 : (end_ - next_ + batch_rows_ - 1) / batch_rows_;
  }

  /// The next batch; nothing when all are done.
  void step() {
    if (next_ >= end_) return;
    const std::int64_t border =
        std::min((end_ + features_.block - 1) / features_.block * features_.block,
                 static_cast<std::int64_t>(order_.rows.size()));
    const std::int64_t last = std::min(next_ + batch_rows_, border);
    const auto count = static_cast<std::size_t>(last - next_);
    const auto width = static_cast<std::size_t>(features_.views * features_.dim);
    const auto rows = std::span(order_.rows).subspan(static_cast<std::size_t>(next_), count);
    features_.read(rows, std::span(batch_).first(count * width), std::span(there_).first(count));
    for (std::int64_t position = std::max(next_, begin_); position < std::min(last, end_);
         ++position) {
      const auto i = static_cast<std::size_t>(position - next_);
      if (there_[i] == 0) missing.push_back(rows[i]);
      pooler_.add(there_[i] != 0 ? std::span<const float>(batch_).subspan(i * width, width)
                                 : std::span<const float>());
    }
    next_ += batch_rows_;
    if (options_.progress) options_.progress(std::min(last, end_) - begin_, end_ - begin_);
  }
  void finish() {
    templates = pooler_.finish();
    empty_templates = pooler_.empty_templates();
  }

  std::vector<std::vector<double>> templates;  ///< [variants][own templates * dim]
  std::vector<std::int64_t> missing;           ///< image rows
  std::int64_t empty_templates = 0;

 private:
  const TemplateOrder& order_;
  const ImageFeatures& features_;
  const IjbOptions& options_;
  std::int64_t begin_;
  std::int64_t end_;
  std::int64_t batch_rows_;
  std::int64_t next_;
  TemplatePooler pooler_;
  std::vector<float> batch_;
  std::vector<std::uint8_t> there_;
};

/// Batch by batch on all ranks together: a failure ends all at once, and no rank waits longer than
/// a batch takes.
OwnTemplates pool_own_templates(const IjbProtocol& protocol, const ImageFeatures& features,
                                const IjbOptions& options, dist::HostCollectives& control) {
  OwnTemplates own(protocol, features, options,
                   templates_of_rank(protocol.templates, control.rank(), control.world_size()));
  const std::int64_t rounds = control.all_reduce(own.batches(), dist::ReduceOp::kMax);
  for (std::int64_t round = 0; round < rounds; ++round)
    dist::together<data::DataError>(control, [&] { own.step(); });
  own.finish();
  return own;
}

/// Sorted runs (descending), one behind the other, into one. Pairwise, so that a value moves
/// log2(runs) times.
void merge_runs(std::vector<double>& values, const std::vector<std::int64_t>& counts) {
  std::vector<std::ptrdiff_t> borders = {0};
  for (const auto n : counts) borders.push_back(borders.back() + static_cast<std::ptrdiff_t>(n));
  for (std::size_t step = 1; step + 1 < borders.size(); step *= 2) {
    for (std::size_t left = 0; left + step + 1 < borders.size(); left += 2 * step) {
      const std::size_t right = std::min(left + 2 * step, borders.size() - 1);
      std::inplace_merge(values.begin() + borders[left], values.begin() + borders[left + step],
                         values.begin() + borders[right], std::greater<>());
    }
  }
}

/// Scores of all ranks on rank 0, descending; empty on the others.
std::vector<double> gather_sorted(std::vector<double> scores, dist::HostCollectives& control) {
  std::sort(scores.begin(), scores.end(), std::greater<>());
  if (control.world_size() == 1) return scores;
  std::vector<std::int64_t> to(static_cast<std::size_t>(control.world_size()), 0);
  to[0] = static_cast<std::int64_t>(scores.size());
  std::vector<std::int64_t> counts;
  std::vector<double> all = control.all_to_all_v(std::span<const double>(scores), to, &counts);
  merge_runs(all, counts);
  return all;
}

/// The scores of one kind of pair.
std::vector<double> scores_of_kind(const std::vector<double>& scores, const TemplatePairs& pairs,
                                   std::uint8_t same) {
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(std::count(pairs.same.begin(), pairs.same.end(), same)));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (pairs.same[i] == same) result.push_back(scores[i]);
  }
  return result;
}

struct Measured {
  std::int64_t genuine, impostors;
  double auc, eer;
};

template <class T>
void append(std::string& bytes, const T* values, std::size_t count) {
  bytes.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}
template <class T>
std::size_t extract(const std::string& bytes, std::size_t from, std::vector<T>& values) {
  std::memcpy(values.data(), bytes.data() + from, values.size() * sizeof(T));
  return from + values.size() * sizeof(T);
}

/// Measured on rank 0, handed to all.
void measure(std::vector<double> genuine, std::vector<double> impostor, const IjbOptions& options,
             dist::HostCollectives& control, IjbVariantResult& result) {
  std::string bytes;
  dist::together<data::DataError>(control, [&] {
    if (control.rank() != 0) return;
    const Roc roc = Roc::of_scores(std::move(genuine), std::move(impostor));
    const Measured numbers{roc.genuine(), roc.impostors(), roc.auc(), roc.eer()};
    append(bytes, &numbers, 1);
    const std::vector<TarAtFar> rows = roc.at_fars(options.fars);
    append(bytes, rows.data(), rows.size());
    const std::vector<RocPoint> curve = roc.points(options.curve_points);
    append(bytes, curve.data(), curve.size());
  });
  bytes = control.broadcast(std::move(bytes), 0);
  Measured numbers{};
  std::memcpy(&numbers, bytes.data(), sizeof(numbers));
  result.genuine = numbers.genuine;
  result.impostors = numbers.impostors;
  result.auc = numbers.auc;
  result.eer = numbers.eer;
  result.tar.resize(options.fars.size());
  const std::size_t curve = extract(bytes, sizeof(numbers), result.tar);
  result.curve.resize((bytes.size() - curve) / sizeof(RocPoint));
  (void)extract(bytes, curve, result.curve);
}

IjbVariantResult evaluate_variant(const IjbProtocol& protocol, std::vector<double> own_templates,
                                  std::int64_t dim, const IjbOptions& options,
                                  const PoolingVariant& variant, dist::HostCollectives& control) {
  const std::vector<double> templates =
      control.all_gather_v(std::span<const double>(own_templates));
  own_templates = {};
  IjbVariantResult result;
  result.variant = variant;
  std::vector<double> scores = pair_scores(templates, dim, protocol.pairs);
  if (options.take_scores) options.take_scores(variant, scores);
  std::vector<double> genuine = scores_of_kind(scores, protocol.pairs, 1);
  std::vector<double> impostor = scores_of_kind(scores, protocol.pairs, 0);
  scores = {};
  genuine = gather_sorted(std::move(genuine), control);
  impostor = gather_sorted(std::move(impostor), control);
  measure(std::move(genuine), std::move(impostor), options, control, result);
  if (protocol.probes)
    result.identification = identify(templates, dim, protocol.galleries, *protocol.probes, control);
  return result;
}

}  // namespace

IjbResult evaluate_ijb(const IjbProtocol& protocol, const ImageFeatures& features,
                       const IjbOptions& options, dist::HostCollectives& control) {
  TORCH_CHECK(features.dim > 0 && (features.views == 1 || features.views == 2), "IJB: features of ",
              features.dim, " numbers, ", features.views, " per image");
  TORCH_CHECK(!options.variants.empty() && options.batch > 0 && features.block > 0,
              "IJB: expected at least one pooling variant and a positive batch");
  OwnTemplates pooled = pool_own_templates(protocol, features, options, control);

  IjbResult result;
  result.name = protocol.files.name;
  result.images = protocol.images.size();
  result.templates = protocol.templates.templates();
  result.pairs = control.all_reduce(protocol.pairs.size(), dist::ReduceOp::kSum);
  result.missing_images = control.all_gather_v(std::span<const std::int64_t>(pooled.missing));
  std::sort(result.missing_images.begin(), result.missing_images.end());
  result.empty_templates = control.all_reduce(pooled.empty_templates, dist::ReduceOp::kSum);
  for (std::size_t v = 0; v < options.variants.size(); ++v)
    result.variants.push_back(evaluate_variant(protocol, std::move(pooled.templates[v]),
                                               features.dim, options, options.variants[v],
                                               control));
  return result;
}

}  // namespace diffprob::eval
