#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/ijb/ijb.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "model/networks/backbone.h"

namespace diffprob::launch {

/// Where the files of an evaluation on IJB go. A function that is empty or returns "" writes none.
struct IjbOutputs {
  std::string folder;  ///< gets lists of missing images
  /// Files of a set with a pooling variant.
  std::function<std::string(const std::string& set, const std::string& variant)> scores{};
  std::function<std::string(const std::string& set, const std::string& variant)> roc{};
};

/// An IJB folder, opened once for any number of networks.
class IjbSet {
 public:
  /// name: of the set among those of the job. Collective.
  IjbSet(std::string folder, const std::string& name, Runtime& runtime);

  [[nodiscard]] const std::string& name() const noexcept { return protocol_.files.name; }
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] std::int64_t images() const noexcept { return protocol_.images.size(); }
  /// Evaluates a network on the images of the folder and prints the table. Collective.
  [[nodiscard]] eval::IjbResult evaluate(model::Backbone& backbone, const Config& config,
                                         const IjbOutputs& outputs, Runtime& runtime) const;
  /// The same for features of its images that were made elsewhere.
  [[nodiscard]] eval::IjbResult evaluate(const eval::ImageFeatures& features, const Config& config,
                                         const IjbOutputs& outputs, Runtime& runtime) const;

 private:
  void list_missing(const eval::IjbResult& result, const std::vector<std::string>& problems,
                    const std::string& folder) const;

  std::string folder_;
  eval::IjbProtocol protocol_;
};

/// Names of IJB folders that are used together: "IJB-C", or with parent folders where two have the
/// same. Throws data::DataError.
[[nodiscard]] std::vector<std::string> ijb_names(const std::vector<std::string>& folders);
/// Opens the folders of eval.ijb. Collective.
[[nodiscard]] std::vector<IjbSet> open_ijb_sets(const Config& config, Runtime& runtime);

/// Variants of eval.ijb_variants, or the default one, for features of `views` views an image.
/// Throws ConfigError when one needs the mirror image and there is none.
[[nodiscard]] std::vector<eval::PoolingVariant> ijb_variants(const Config& config,
                                                             std::int64_t views);
/// What is wrong with eval.ijb_variants.
[[nodiscard]] std::vector<std::string> ijb_variant_problems(const Config& config);

}  // namespace diffprob::launch
