#include <algorithm>
#include <map>

#include "launch/cli/commands.h"
#include "launch/cli/convert.h"
#include "launch/config/help.h"
#include "launch/config/suggest.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

struct Help {
  const char* summary;
  std::string usage;
};

std::string sections_text() {
  std::string text;
  for (const auto& name : config_sections()) text += " " + name;
  return text;
}

const std::map<std::string, Help>& commands() {
  static const std::map<std::string, Help> table = {
      {"run",
       {"whole job: train, score, clean, prune, retrain, verify (resumable)",
        "mpirun -np 8 diffprob run CONFIG [--key=value ...]\n\n"
        "Stages land in output/: data (synthetic sets only), train_original, score, prune, "
        "train_pruned_s0, ...,\n"
        "summary.txt, summary.json, report.html, metrics.jsonl. A stage that was done from the "
        "same inputs is skipped; a killed\n"
        "training goes on from its last checkpoint. run.compare_random=true adds the bar that "
        "pruning must beat."}},
      {"sweep",
       {"comparison table: methods x kept ratios x seeds, with intervals (resumable)",
        "mpirun -np 8 diffprob sweep CONFIG --sweep.methods=diffprob,clean+diffprob,dynunc "
        "--sweep.ratios=0.75,0.5,0.25 --run.seeds=5\n\n"
        "Trains run.seeds networks on all images, scores with the first, then makes the index sets "
        "of every method at every ratio and\n"
        "trains run.seeds networks on each; drawn methods (random, ccs) draw anew for each seed. "
        "random, per identity, is always there:\n"
        "a method is 'better' or 'worse' when the 95 % interval of its difference to random at "
        "that ratio leaves out 0.\n"
        "Methods: those of `diffprob help prune` but none, each also as clean+METHOD. Those that "
        "read dynamics need --train.record=true,\n"
        "dynunc also more than 10 epochs.\n"
        "All keep ratio * N images as nearly as the floor of each identity allows "
        "(prune.preset=reference: as the paper's code, which\n"
        "keeps more or fewer with random and dynunc). Other options of the pruning: section "
        "prune.\n\n"
        "Stages land in output/: data, train_original, score (those of `run`, if it has made "
        "them), train_original_s1, ...,\n"
        "sweep/METHOD_rRATIO/; then sweep.txt, sweep.json, sweep.csv (a line a training). A stage "
        "that was done from the same inputs\n"
        "is skipped. --dry-run lists the cells and counts the trainings.\n\n"
        "As a Slurm array, one job a cell (METHOD at RATIO):\n"
        "  diffprob sweep CONFIG --sweep.cell=0        the trainings on all images and the scores; "
        "before all others\n"
        "  diffprob sweep CONFIG --sweep.cell=N        cell N alone (in a job array: "
        "N=$SLURM_ARRAY_TASK_ID)\n"
        "  diffprob sweep CONFIG                       finds the cells done and makes the table"}},
      {"train",
       {"train one network on a data set or on a kept part of it",
        "mpirun -np 8 diffprob train CONFIG [--data.kept=index_set.h5] [--output=DIR]\n\n"
        "Checkpoints go to output/checkpoints; the newest whole one is continued. SIGTERM, "
        "SIGUSR1, SIGINT and train.max_time end\n"
        "it with a checkpoint and exit code 75: start the same command again. --profile=N traces N "
        "steps for Perfetto."}},
      {"score",
       {"probability record of every training sample",
        "mpirun -np 8 diffprob score CONFIG --model.checkpoint=DIR/step_XXXXXXXX [--output=DIR]\n\n"
        "Writes output/scores.h5 (prune/tables/SCORES_FORMAT.md). Started again after a kill, on "
        "any number of ranks, it goes on behind the\n"
        "last whole part in output/scores.parts (launch/score/SCORE_PARTS_FORMAT.md). SIGTERM, "
        "SIGUSR1, SIGINT and train.max_time end it\n"
        "behind a batch with exit code 75."}},
      {"prune",
       {"select what to keep from a score table",
        "mpirun -np 8 diffprob prune [CONFIG] --prune.scores=scores.h5 --prune.keep_ratio=0.5 "
        "[--output=DIR]\n\n"
        "Methods (prune.method), what they read, what they keep of each identity:\n" +
            prune::methods_text() +
            "dynamics: a file of training dynamics (prune.dynamics); scores: a score table "
            "(prune.scores).\n"
            "prune.clean=true first drops samples whose margin-free prediction is not their label "
            "(prune.clean_rule, prune.clean_margin).\n"
            "No identity falls below prune.min_kept samples and prune.min_kept_share of its usable "
            "ones.\n"
            "With data.train given, scores of another data set are refused.\n"
            "Writes output/index_set.h5, kept_index.txt, label_map.txt, summary.json "
            "(prune/tables/SCORES_FORMAT.md)."}},
      {"eval",
       {"measure a network, or features made elsewhere, on .bin sets and IJB-B / IJB-C",
        "mpirun -np 8 diffprob eval [CONFIG] --model.checkpoint=DIR/step_XXXXXXXX "
        "--eval.sets=lfw.bin,cfp_fp.bin --json=results.json\n"
        "mpirun -np 8 diffprob eval --model.checkpoint=backbone.pth --model.backbone=iresnet50 "
        "--eval.ijb=/data/IJB_release/IJBC\n"
        "mpirun -np 8 diffprob eval --eval.features=img_feats.npy "
        "--eval.features_hold=image_mirror --eval.ijb=/data/IJB_release/IJBC\n\n"
        "A network is a checkpoint folder, or a .pth of arcface_torch or the paper's code with "
        "model.backbone and model.embedding_dim.\n"
        "Features are a two-dimensional .npy (float32 or float64) or HDF5 dataset "
        "(eval.features_dataset, default 'features'), one row an\n"
        "image in the order of ijb*_face_tid_mid.txt, or 2 * pairs rows for one .bin.\n\n"
        "  .bin   10-fold accuracy, best threshold, VAL@FAR 1e-3..1e-1, AUC, EER, TAR@FAR "
        "1e-6..1e-1. Entries at which fewer than one\n"
        "         impostor may pass stand in brackets.\n"
        "  IJB    TAR@FAR 1e-6..1e-1 three ways: at the ROC point nearest to the FAR (what the "
        "reference's tables show; it may lie "
        "above),\n"
        "         at the best point not above it, and interpolated. With the *_1N_*.csv files in "
        "meta/ also rank-1, rank-5 and TPIR@FPIR\n"
        "         0.01 and 0.1: 'open' with the probes that have no mate, 'closed' as "
        "InsightFace's IJB_1N script.\n"
        "         eval.ijb_variants=F1N1D1,F0N0D0: N1 keeps the length of features, N0 normalises "
        "them first (the names of\n"
        "         others disagree). Missing or bad images are left out of their templates, "
        "counted, and listed in\n"
        "         output/missing_*.txt; the reference stops at them. A template without any image "
        "scores 0 with every other.\n\n"
        "Prints tables, writes output/eval.json (.bin sets) and output/ijb.json; --json=FILE gets "
        "both. Results are the same for any "
        "number\n"
        "of ranks, given the same features."}},
      {"export",
       {"backbone of a checkpoint or .pth as .onnx, or as .pth for PyTorch",
        "diffprob export --model.checkpoint=DIR/step_XXXXXXXX --file=backbone.onnx [--fold-bn]\n"
        "diffprob export --model.checkpoint=backbone.pth --model.backbone=NAME "
        "--model.embedding_dim=D --file=backbone.onnx\n"
        "diffprob export --model.checkpoint=DIR/step_XXXXXXXX --file=backbone.pth\n\n"
        "  .onnx   opset 13; input \"input\", float32 [N, 3, 112, 112], aligned faces, RGB, (x / "
        "255 - 0.5) / 0.5; output\n"
        "          \"embedding\", float32 [N, D], not normalised; any N. At most 2 GiB, protobuf's "
        "limit; iresnet200 takes 0.5 GB\n"
        "  .pth    torch.load(FILE) gives the state dict of InsightFace's and the paper's model of "
        "that name\n\n"
        "  --fold-bn   .onnx: batch norms go into the convolutions and linear maps beside them "
        "where that is exact. Those before a\n"
        "              padded convolution stay, because its zeros are padded behind them\n\n"
        "Weights averaged over time (train.ema_decay) are taken when the checkpoint has them. A "
        "FILE that is there is replaced\n"
        "when the new one is whole. diffprob info lists the names of backbones."}},
      {"data",
       {"make, pack and look at data sets",
        "diffprob data info PATH            size, identities, layout\n"
        "diffprob data check PATH [--report=FILE] [--kept=FILE] [--repair=OUT] [--image-size=112] "
        "[--data.decode_threads=N]\n"
        "                                   reads and decodes every image, goes on behind damage, "
        "prints what is wrong; exit code 1\n"
        "                                   when something is. Corrupt, truncated, of another size "
        "(--image-size=0: any is right),\n"
        "                                   bad labels, byte-identical copies, identities without "
        "images, broken .rec and .idx.\n"
        "                                   --report: all findings as JSON "
        "(data/check/CHECK_FORMAT.md). --kept: index set of the sound\n"
        "                                   samples (.h5, else text) for --data.kept and data pack "
        "--subset; of copies the first\n"
        "                                   stays, of copies under two labels none. --repair: the "
        "sound images as a new set, also\n"
        "                                   when training refuses to open this one. Threads: all "
        "cores without --data.decode_threads\n"
        "diffprob data pack FROM OUT        any data set -> OUT/train.rec, train.idx, property "
        "(arcface_torch reads them)\n"
        "diffprob data pack FROM OUT --subset=LIST [--kind=KIND] [--list=kept|dropped] "
        "[--base=index|key]\n"
        "                                   the kept samples alone, labels dense; "
        "OUT/label_map.txt: old label to new,\n"
        "                                   OUT/source_index.txt: line k holds the old index of "
        "sample k. LIST: an index set\n"
        "                                   or any list that diffprob help convert names\n"
        "diffprob data synth OUT [--synthetic.identities=N ...] [--seed=N]   the embedded "
        "synthetic faces"}},
      {"convert",
       {"scores and lists of samples of others, from one form to another",
        "diffprob convert FROM TO [--kind=KIND] [--list=kept|dropped] [--data=DATASET] ...\n\n"
        "  --kind=KIND           form of FROM; without it by content\n"
        "  --to=KIND             form of TO; without it by name: lists .h5 index-set, .txt "
        "kept-index, .npy npy-index;\n"
        "                        scores .h5 scores, .csv csv, .npy npy-scores, .txt prob-text\n"
        "                        --to=dynamics: [epochs, samples] as training dynamics, for "
        "dynunc\n"
        "  --list=kept|dropped   what being listed (in a mask: True) means, where the form does "
        "not say\n"
        "  --data=DATASET        the data set: number of samples, labels, fingerprint, names of "
        "image files\n"
        "  --samples=N           number of samples, without the data set\n"
        "  --base=index|key      numbers of FROM are sample indices from 0 (default), or record "
        "keys from 1\n"
        "  --to-base=index|key   the same of TO\n"
        "  --labels=FILE         labels for scores without the data set: .npy, or one a line\n"
        "  --value=probability|nll   what floats in .npy and text are (default probability; nll: "
        "-log p)\n"
        "  --epoch=last|mean|N   which row of [epochs, samples] counts (N from 0)\n\n" +
            kinds_text() +
            "\nnpy-index, npy-mask, comma, lines and names are written as lists of the kept "
            "samples. Scores need labels: from\n"
            "--data, --labels or a column. A column that FROM lacks stays missing; without top1 "
            "scores can be pruned, not cleaned:\n\n"
            "  diffprob convert prob_33.txt scores.h5 --data=/data/faces\n"
            "  diffprob prune --prune.scores=scores.h5 --prune.clean=false --prune.keep_ratio=0.5\n"
            "  diffprob convert issues.npy kept.h5 --kind=cleanlab --data=/data/faces\n"}},
      {"report",
       {"HTML page of one run, or of several side by side",
        "diffprob report RUN... [--file=FILE]\n\n"
        "RUN: output folder of run, train, score or prune. One file without scripts or links to "
        "elsewhere, below 5 MB, to be read\n"
        "in any browser: models compared with confidence, pruning, face sheets, ROC curves, "
        "training curves, time and memory,\n"
        "configuration. FILE is RUN/report.html for one run, report.html for several; diffprob run "
        "writes it at its end.\n"
        "What a run lacks (not finished, no scores, data set moved) is left out with a note."}},
      {"config",
       {"configuration keys, defaults, checks",
        "diffprob config --help SECTION             the keys of one section (or one key): default, "
        "range, meaning\n"
        "diffprob config --print-defaults           every key with its default and meaning, as "
        "YAML\n"
        "diffprob config CONFIG [--key=value ...]   checks it and prints the result\n\n"
        "Sections, and keys that stand in none:" +
            sections_text()}},
      {"info",
       {"this build, its libraries and the devices here; size and cost of a network",
        "diffprob info\ndiffprob info --model=NAME [--dim=512]"}},
      {"help", {"this text, or that of one command", "diffprob help COMMAND"}},
  };
  return table;
}

}  // namespace

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const auto& [name, help] : commands()) names.push_back(name);
  return names;
}

bool is_command(const std::string& command) {
  return commands().contains(command);
}

std::string help_text(const std::string& command) {
  const auto found = commands().find(command);
  if (found != commands().end())
    return std::string(found->second.summary) + "\n\n" + found->second.usage + "\n";
  std::string text =
      "diffprob: trains face-recognition models on many ranks, scores every training sample,\n"
      "prunes and cleans the data set by those scores, retrains and verifies.\n\n"
      "  diffprob COMMAND [CONFIG] [--section.key=value ...]\n\n";
  for (const char* name : {"run", "sweep", "train", "score", "prune", "eval", "export", "data",
                           "convert", "report", "config", "info", "help"}) {
    std::string line = std::string("  ") + name;
    line.resize(12, ' ');
    text += line + commands().at(name).summary + "\n";
  }
  return text +
         "\nStart several ranks with mpirun -np N (or srun). First steps:\n"
         "  diffprob run launch/configs/quickstart.yaml      the whole job on the embedded "
         "synthetic faces\n"
         "  diffprob config --print-defaults                 every key with its meaning (--help "
         "SECTION: of one section)\n"
         "  diffprob run CONFIG --dry-run                    checks configuration and files, "
         "trains nothing\n\n"
         "Exit codes: 0 done, 1 error, 2 bad usage or configuration, 75 stopped by a signal or "
         "train.max_time, work saved\n"
         "(start the same command again).\n";
}

CommandLine parse_command_line(int argc, char** argv) {
  CommandLine line;
  std::vector<std::string> problems;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) {
      if (word == "-h")
        line.flags.push_back("help");
      else if (line.command.empty())
        line.command = word;
      else
        line.positional.push_back(word);
    } else if (const auto equals = word.find('='); equals != std::string::npos) {
      const std::string key = word.substr(2, equals - 2);
      line.overrides.push_back({key == "profile" ? "train.profile_steps"
                                : key == "json"  ? "eval.json"
                                                 : key,
                                word.substr(equals + 1)});
    } else {
      line.flags.push_back(word.substr(2));
    }
  }
  std::vector<std::string> known = {"help", "dry-run", "print-defaults", "version"};
  if (line.command == "export") known.push_back("fold-bn");
  for (const auto& flag : line.flags) {
    if (std::find(known.begin(), known.end(), flag) == known.end()) {
      problems.push_back("--" + flag + ": unknown flag" + suggestion(flag, known) +
                         " (keys are given as --section.key=value)");
    }
  }
  if (!line.command.empty() && !is_command(line.command)) {
    problems.push_back(line.command + ": unknown command" +
                       suggestion(line.command, command_names()) + " (diffprob help lists them)");
  }
  if (!problems.empty()) throw ConfigError(problems);
  return line;
}

}  // namespace diffprob::launch
