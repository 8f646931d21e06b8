#include "launch/config/key_conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "model/margin/options.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

std::string loss_of(const Config& config) {
  return model::margin_name(config.model.head.margin.kind);
}

std::vector<Condition> conditions_of_loss() {
  using Kind = model::MarginKind;
  const auto loss_is = [](std::vector<Kind> kinds) {
    return [kinds = std::move(kinds)](const Config& c) {
      return std::find(kinds.begin(), kinds.end(), c.model.head.margin.kind) != kinds.end();
    };
  };
  const auto has_one_margin = [](const Config& c) {
    const Kind kind = c.model.head.margin.kind;
    return kind != Kind::kNone && kind != Kind::kCombined;
  };
  const auto another = [](const std::string& what) {
    return [what](const Config& c) {
      return fmt::format("model.loss is {}; it is for {}", loss_of(c), what);
    };
  };
  return {
      {{"model.margin"},
       has_one_margin,
       [](const Config& c) {
         return c.model.head.margin.kind == Kind::kCombined
                    ? std::string("model.loss is combined, whose margins are model.m1, m2 and m3")
                    : std::string("model.loss is none, which has no margin");
       }},
      {{"model.m1", "model.m2", "model.m3"}, loss_is({Kind::kCombined}), another("combined")},
      {{"model.m1", "model.m2"},
       [](const Config& c) {
         const auto& margin = c.model.head.margin;
         return margin.preset != model::LossPreset::kArcfaceTorch || margin.m3 == 0;
       },
       [](const Config&) {
         return std::string(
             "with model.loss_preset=arcface_torch and model.m3 above 0, model.m3 is "
             "the only margin");
       }},
      {{"model.elastic_std"},
       loss_is({Kind::kElasticArcFace, Kind::kElasticCosFace, Kind::kElasticArcFacePlus,
                Kind::kElasticCosFacePlus}),
       another("the elastic losses")},
      {{"model.curricular_momentum"}, loss_is({Kind::kCurricularFace}), another("curricularface")},
      {{"model.adaface_h", "model.adaface_t_alpha"}, loss_is({Kind::kAdaFace}), another("adaface")},
      {{"model.loss_preset"},
       [=](const Config& c) {
         return c.model.head.margin.preset == model::LossPreset::kArcfaceTorch
                    ? loss_is({Kind::kArcFace, Kind::kCombined, Kind::kAdaFace})(c)
                    : loss_is({Kind::kAdaFace, Kind::kElasticArcFacePlus,
                               Kind::kElasticCosFacePlus})(c);
       },
       [=](const Config& c) {
         return c.model.head.margin.preset == model::LossPreset::kArcfaceTorch
                    ? another(
                          "arcface, combined and adaface, the only losses whose gradients "
                          "arcface_torch and CVLface compute in another way")(c)
                    : another(
                          "adaface, elastic_arcface_plus and elastic_cosface_plus, the only "
                          "losses that the paper's code computes in another way")(c);
       }},
  };
}

std::vector<Condition> conditions_of_network() {
  return {
      {{"model.dropout"},
       [](const Config& c) { return c.model.network.name.starts_with("iresnet"); },
       [](const Config& c) {
         return fmt::format("model.backbone is {}, and only the iresnet networks have dropout",
                            c.model.network.name);
       }},
      {{"model.drop_path", "model.mask_ratio"},
       [](const Config& c) { return model::is_vision_transformer(c.model.network.name); },
       [](const Config& c) {
         return fmt::format("model.backbone is {}, and only the vision transformers have it",
                            c.model.network.name);
       }},
  };
}

bool is_synthetic_set(const Config& config) {
  return config.data.train == std::vector<std::string>{"synthetic"};
}

std::vector<Condition> conditions_of_training() {
  using model::LrKind;
  const auto schedule_is = [](std::vector<LrKind> kinds) {
    return [kinds = std::move(kinds)](const Config& c) {
      return std::find(kinds.begin(), kinds.end(), c.train.schedule.kind) != kinds.end();
    };
  };
  const auto other_schedule = [](const Config& c) {
    return "train.schedule is " + model::lr_name(c.train.schedule.kind);
  };
  const auto optimizer_is = [](model::OptimizerKind kind) {
    return [kind](const Config& c) { return c.train.optimizer == kind; };
  };
  const auto other_optimizer = [](const Config& c) {
    return std::string("train.optimizer is ") +
           (c.train.optimizer == model::OptimizerKind::kSgd ? "sgd" : "adamw");
  };
  return {
      {{"train.milestones", "train.lr_gamma"}, schedule_is({LrKind::kMilestones}), other_schedule},
      {{"train.lr_power"}, schedule_is({LrKind::kPolynomial}), other_schedule},
      {{"train.lr_final"}, schedule_is({LrKind::kPolynomial, LrKind::kCosine}), other_schedule},
      {{"train.warmup_shape", "train.warmup_power"},
       [](const Config& c) { return c.train.schedule.warmup_epochs > 0; },
       [](const Config&) { return std::string("train.warmup_epochs is 0"); }},
      {{"train.momentum", "train.nesterov"},
       optimizer_is(model::OptimizerKind::kSgd),
       other_optimizer},
      {{"train.adam_beta1", "train.adam_beta2"},
       optimizer_is(model::OptimizerKind::kAdamW),
       other_optimizer},
      {{"train.prune_ratio", "train.prune_until"},
       [](const Config& c) {
         return c.train.epoch_pruning.rule != prune::EpochPruningOptions::Rule::kNone;
       },
       [](const Config&) { return std::string("train.prune is false"); }},
      {{"train.eval_every_steps"},
       [](const Config& c) { return !c.eval.sets.empty() || is_synthetic_set(c); },
       [](const Config&) { return std::string("eval.sets is empty"); }},
      {{"data.sampling_power"},
       [](const Config& c) { return c.data.sampling.kind == data::Sampling::kWeighted; },
       [](const Config&) { return std::string("data.sampling is not weighted"); }},
      {{"synthetic."},
       is_synthetic_set,
       [](const Config&) { return std::string("data.train is not synthetic"); }},
  };
}

std::vector<Condition> conditions_of_pruning() {
  using prune::Method;
  const auto method_is = [](std::vector<Method> methods) {
    return [methods = std::move(methods)](const Config& c) {
      return std::find(methods.begin(), methods.end(), c.prune.options.method) != methods.end();
    };
  };
  const auto other_method = [](const Config& c) {
    return "prune.method is " + prune::method_name(c.prune.options.method);
  };
  const auto by_threshold = [](const Config& c) {
    return c.prune.options.method == Method::kDiffProb && c.prune.threshold > 0;
  };
  return {
      {{"prune.ccs_score", "prune.ccs_beta", "prune.ccs_strata"},
       method_is({Method::kCcs}),
       other_method},
      {{"prune.keep_end"},
       method_is({Method::kDynUnc, Method::kEl2n, Method::kForgetting, Method::kAum}),
       other_method},
      {{"prune.depth"}, method_is({Method::kDeep, Method::kDeepDiffProb}), other_method},
      {{"prune.easy_share"}, method_is({Method::kBalancedEasy}), other_method},
      {{"prune.draw"}, method_is({Method::kRandom}), other_method},
      {{"prune.window"}, method_is({Method::kDynUnc}), other_method},
      {{"prune.score", "prune.threshold"}, method_is({Method::kDiffProb}), other_method},
      {{"prune.keep_ratio"},
       [=](const Config& c) {
         return !by_threshold(c) && prune::has_keep_ratio(c.prune.options.method);
       },
       [=](const Config& c) {
         return by_threshold(c) ? std::string("prune.threshold is given, which decides alone")
                                : other_method(c);
       }},
      {{"score.embeddings"},
       [](const Config& c) { return c.prune.proposals || c.score.head == ScoreHead::kCentroids; },
       [](const Config&) {
         return std::string("prune.proposals is false, and nothing else of a pruning reads it");
       }},
      {{"prune.min_kept", "prune.min_kept_share"},
       [](const Config& c) { return c.prune.options.method != Method::kNone; },
       other_method},
      {{"prune.clean_rule", "prune.clean_margin", "prune.clean_precision", "prune.clean_floor",
        "prune.proposals"},
       [](const Config& c) { return c.prune.options.clean; },
       [](const Config&) { return std::string("prune.clean is false"); }},
  };
}

std::vector<Condition> conditions_of_scoring() {
  return {
      {{"score.embeddings", "score.keep_gib"},
       [](const Config& c) { return c.score.head == ScoreHead::kCentroids; },
       [](const Config&) { return std::string("score.head is not centroids"); }},
      {{"score.keep_gib", "score.fold", "score.precision", "score.batch_per_rank"},
       [](const Config& c) { return c.score.embeddings.empty(); },
       [](const Config&) {
         return std::string("score.embeddings is given, which needs no network");
       }},
  };
}

std::vector<Condition> conditions_of_neighbours() {
  return {
      {{"neighbours.near", "neighbours.across", "neighbours.centre", "neighbours.stray",
        "neighbours.shared", "neighbours.other_embeddings"},
       [](const Config& c) { return !c.neighbours.embeddings.empty(); },
       [](const Config&) { return std::string("neighbours.embeddings is not given"); }},
  };
}

std::vector<Condition> conditions_of_ijb() {
  return {
      {{"eval.ijb_variants"},
       [](const Config& c) { return !c.eval.ijb.empty(); },
       [](const Config&) { return std::string("eval.ijb is not given"); }},
  };
}

std::vector<Condition> conditions_of_evaluation() {
  const auto has_features = [](const Config& c) { return !c.eval.features.empty(); };
  return {
      {{"eval.features_dataset", "eval.features_hold"},
       has_features,
       [](const Config&) { return std::string("eval.features is not given"); }},
      {{"model.checkpoint"},
       [=](const Config& c) { return !has_features(c); },
       [](const Config&) { return std::string("eval.features is given, which needs no network"); }},
  };
}

/// Our own checkpoints are of networks for RGB images.
std::vector<Condition> conditions_of_weight_files() {
  const auto file_of = [](const Config& c) {
    return c.model.checkpoint.empty() ? c.train.init : c.model.checkpoint;
  };
  return {{{"model.channel_order"},
           [=](const Config& c) {
             std::error_code none;
             return !file_of(c).empty() &&
                    !std::filesystem::exists(file_of(c) + "/manifest.json", none);
           },
           [=](const Config& c) {
             return file_of(c).empty() ? std::string("no weight file is read")
                                       : file_of(c) +
                                             " is a checkpoint of this program, whose "
                                             "networks take RGB images";
           }}};
}

}  // namespace

bool is_among(const std::string& key, const Keys& keys) {
  bool found = false;
  for (const std::string_view each : keys) {
    const bool excludes = each.starts_with('!');
    const std::string_view name = excludes ? each.substr(1) : each;
    if (name.ends_with('.') ? key.starts_with(name) : key == name) found = !excludes;
  }
  return found;
}

std::vector<Condition> conditions_of(const std::string& command) {
  std::vector<Condition> all;
  const auto add = [&](std::vector<Condition> more) {
    all.insert(all.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
  };
  if (command == "run" || command == "sweep" || command == "train") {
    add(conditions_of_loss());
    add(conditions_of_network());
    add(conditions_of_training());
  }
  if (command == "run" || command == "sweep" || command == "score") add(conditions_of_scoring());
  if (command == "run" || command == "prune") add(conditions_of_pruning());
  if (command.starts_with("data ")) add(conditions_of_neighbours());
  if (command == "run") add(conditions_of_ijb());
  if (command == "eval") {
    add(conditions_of_ijb());
    add(conditions_of_evaluation());
  }
  if (command != "prune") add(conditions_of_weight_files());
  return all;
}

}  // namespace diffprob::launch
