#include "launch/config/rows.h"
#include "launch/config/sections.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {

std::vector<Field> score_fields(ScoreConfig& s) {
  return {
      one_of("score.head", &s.head,
             "class centres: 'trained' with the network; 'centroids': mean embedding of each "
             "identity, without the sample itself (needs no head: diffprob help score)",
             {{"trained", ScoreHead::kTrained}, {"centroids", ScoreHead::kCentroids}}),
      number("score.folds", &s.folds, 0, 100,
             "run, sweep: 2 or more: the samples of each identity are dealt to so many folds, and "
             "each "
             "fold is scored by a network trained on the others (out of sample); 0: scores of the "
             "original network"),
      path("score.embeddings", &s.embeddings,
           "centroids: file of `diffprob embed` (.h5), which takes the place of the network"),
      number("score.keep_gib", &s.keep_gib, 0, 1e6,
             "centroids: embeddings that fit into so many GiB per rank are kept from the first "
             "pass for the second; otherwise they are computed twice"),
      number("score.batch_per_rank", &s.batch_per_rank, 1, 1e6,
             "images per rank at a time; on a CPU in blocks of 16, at least one per thread; scores "
             "do not depend on it"),
      flag("score.fold", &s.network.fold,
           "fold BatchNorm into convolutions: faster, and the same scores up to rounding"),
      one_of(
          "score.precision", &s.network.type,
          "precision of the network in the scoring pass; its last layer and the head stay fp32 "
          "(products in TF32 on a GPU, unless train.precision=fp32); 16 bit has not been measured "
          "on a GPU yet, fp16 is slow on CPUs",
          format_words()),
      number("score.margin", &s.margin, 0, 2,
             "margin in the probability: 0 as in the paper, model.margin as in its code"),
      number("score.part_samples", &s.part_samples, 0, kMany,
             "samples per part on disk, from which a killed run resumes; 0: about a minute of "
             "work, at most 262144"),
  };
}

std::vector<Field> embed_fields(EmbedConfig& e) {
  return {
      one_of("embed.type", &e.type, "numbers of the file",
             {{"float32", at::kFloat}, {"float16", at::kHalf}}),
      flag("embed.mirror", &e.mirror,
           "write the embedding of the mirror image behind that of the image: 2 D columns"),
      one_of("embed.format", &e.npy,
             "'hdf5': embeddings.h5, which says of which set and network; "
             "'npy': embeddings.npy, plain numbers",
             {{"hdf5", false}, {"npy", true}}),
  };
}

namespace {

std::vector<Word<prune::FullMethod>> sweep_methods() {
  std::vector<Word<prune::FullMethod>> words;
  for (const prune::FullMethod& method : prune::full_methods_with_ratio())
    words.push_back({prune::full_name(method), method});
  return words;
}

std::vector<Field> cleaning_fields(PruneConfig& p) {
  return {
      flag("prune.clean", &p.options.clean, "drop samples that look mislabelled, before selecting"),
      one_of("prune.clean_rule", &p.options.cleaning.rule,
             "'mispredicted': the margin-free prediction is not the label; 'confident': it also "
             "reaches the mean confidence of the predicted class; the others are rules of cleanlab "
             "(launch/docs/scoring_and_pruning.md)",
             words(prune::clean_rule_names(), prune::clean_rule_of)),
      number("prune.clean_margin", &p.options.cleaning.margin, 0, 1000,
             "clean only when the prediction's log-probability (natural) exceeds the label's by "
             "more than this; 0: always"),
      number("prune.clean_precision", &p.options.cleaning.precision, 0, 1,
             "clean only above the margin at which this share of the dropped samples is expected "
             "to have wrong labels, from the noise estimate; 0: prune.clean_margin says"),
      number("prune.clean_floor", &p.options.cleaning.floor, 0, 1e6,
             "fewest samples that cleaning leaves to an identity, the least suspicious ones; 0: "
             "identities may vanish"),
      flag(
          "prune.proposals", &p.proposals,
          "write proposals.csv: labels to change, identities to merge and to split (embeddings for "
          "these: score.embeddings); diffprob data apply-proposals applies it"),
  };
}

std::vector<Field> selection_fields(PruneConfig& p) {
  return {
      number("prune.keep_ratio", &p.keep_ratio, 0, 1, "share of all samples to keep"),
      number("prune.threshold", &p.threshold, 0, 1e6,
             "DiffProb's threshold t, which overrides prune.keep_ratio; 0: search for the t that "
             "gives prune.keep_ratio"),
      number("prune.min_kept", &p.floor.min_kept, 1, 1e6,
             "smallest number of samples to keep per identity"),
      number("prune.min_kept_share", &p.floor.share, 0, 1,
             "smallest share of usable samples to keep per identity; the larger of both floors "
             "applies"),
      one_of("prune.preset", &p.preset,
             "'default', or 'reference': bitwise equal to the paper's code",
             {{"default", prune::Preset::kDefault}, {"reference", prune::Preset::kReference}}),
      one_of("prune.keep_end", &p.options.ranked.keep,
             "dynunc, el2n, forgetting, aum: which values are kept",
             {{"highest", prune::RankedOptions::Keep::kHighest},
              {"lowest", prune::RankedOptions::Keep::kLowest}}),
      number("prune.window", &p.options.ranked.window, 0, 1000,
             "dynunc: epochs of a window, at least 2; 0: as recorded, which is 10; others need "
             "train.record=history"),
      one_of("prune.draw", &p.options.random.draw,
             "method random: drop samples by seed, or the last ones of each identity "
             "(prune.preset=reference: tail)",
             {{"random", prune::RandomOptions::Draw::kRandom},
              {"tail", prune::RandomOptions::Draw::kTail}}),
      one_of("prune.ccs_score", &p.options.ccs.score, "ccs: measure of how hard a sample is",
             {{"aum", prune::CcsOptions::Score::kAum}, {"el2n", prune::CcsOptions::Score::kEl2n}}),
      number("prune.ccs_beta", &p.options.ccs.beta, 0, 0.99,
             "ccs: share of the usable samples, the hardest ones, to drop first"),
      number("prune.ccs_strata", &p.options.ccs.strata, 1, 10000,
             "ccs: number of equal parts of the range of scores"),
      number("prune.easy_share", &p.options.balanced.easy_share, 0.001, 1,
             "balanced_easy: share of the usable samples of an identity, the easiest ones, that "
             "are drawn from"),
      number(
          "prune.depth", &p.options.balanced.depth, 1, 1e6,
          "deep, deep_diffprob: images that each identity that stays shall keep; small identities "
          "are left out where prune.keep_ratio has not enough for all"),
  };
}

}  // namespace

std::vector<Field> prune_fields(PruneConfig& p) {
  const std::vector<Field> cleaning = cleaning_fields(p);
  const std::vector<Field> selection = selection_fields(p);
  std::vector<Field> fields = {
      path("prune.scores", &p.scores,
           "score table (.h5) that `diffprob prune` reads, or a folder of them (scores_mean)"),
      path("prune.dynamics", &p.dynamics,
           "training dynamics (.h5): for dynunc, forgetting, aum, ccs, and prune.score=last_epoch "
           "or mean; with train.record, run uses those of its original training"),
      one_of("prune.method", &p.options.method,
             "method of per-identity selection (diffprob help prune)",
             words(prune::method_names(), prune::method_of)),
      one_of("prune.score", &p.options.score,
             "diffprob: probabilities from the score table, from the last training epoch, their "
             "mean over the epochs, or the mean of the score tables of a folder (prune.scores)",
             {{"scores", prune::ScoreKind::kScores},
              {"last_epoch", prune::ScoreKind::kLastEpoch},
              {"mean", prune::ScoreKind::kMean},
              {"scores_mean", prune::ScoreKind::kScoresMean}}),
  };
  for (auto* more : {&cleaning, &selection})
    fields.insert(fields.end(), more->begin(), more->end());
  return fields;
}

std::vector<Field> sweep_fields(SweepConfig& s) {
  return {
      list_of("sweep.methods", &s.methods,
              "methods that `diffprob sweep` compares; random is always included", sweep_methods()),
      list("sweep.ratios", &s.ratios, 1e-6, 1, "shares of all samples to keep with each method"),
      number("sweep.cell", &s.cell, -1, 1e6,
             "-1: the whole sweep; 0: only its original trainings and scores; N: only one method "
             "at one ratio (listed by --dry-run)"),
  };
}

}  // namespace diffprob::launch
