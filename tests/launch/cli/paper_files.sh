#!/usr/bin/env bash
# Files of the paper's code through the real program: a history of epochs, the scores of all checkpoints, marks of mispredicted samples,
# label maps and dictionaries, and the list of suspicious samples. paper_files.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"
export OMP_NUM_THREADS=1

exits 0 diffprob data synth faces --synthetic.identities=8 --synthetic.images_per_identity=12 --synthetic.verification_pairs=10
tiny=(--device=cpu --threads=1 --model.backbone=tiny --model.embedding_dim=32 --data.train=faces)
exits 0 ranks 2 train "${tiny[@]}" --train.record=history --train.epochs=4 --train.batch_size=20 --train.lr=0.02 --train.lr_reference_batch=0 \
  --train.keep_every_epochs=1 --model.scale=16 --model.margin=0.1 --output=trained

# DynUnc over another window than the recorded one, from the history and from the folder that it becomes.
exits 0 diffprob convert trained/dynamics.h5 pred_prob_history --to=prob-folder
says "4 files prob_E.txt"
exits 1 diffprob convert trained/dynamics.h5 pred_prob_history --to=prob-folder
says "expected a new or empty folder"
exits 0 diffprob convert pred_prob_history window.h5 --to=dynamics --window=2 --data=faces
dynunc=(--prune.method=dynunc --prune.clean=false --prune.keep_ratio=0.4 --prune.min_kept=2)
exits 0 ranks 1 prune "${dynunc[@]}" --prune.dynamics=window.h5 --output=by_folder
for n in 1 2; do
  exits 0 ranks $n prune "${dynunc[@]}" --prune.window=2 --prune.dynamics=trained/dynamics.h5 --output=by_history$n
  same by_history$n/kept_index.txt by_folder/kept_index.txt
done
exits 2 ranks 1 prune "${dynunc[@]}" --prune.dynamics=trained/dynamics.h5 --output=too_long
says "4 epochs were recorded, but dynunc needs more than its window of 10"
exits 2 ranks 1 prune "${dynunc[@]}" --prune.window=3 --prune.dynamics=window.h5 --output=unknown
says "without the history of the epochs"
mv pred_prob_history/prob_2.txt prob_2.txt
exits 1 diffprob convert pred_prob_history holes.h5 --to=dynamics --data=faces
says "epochs 2 have no file prob_E.txt"

# All checkpoints, and what is there already is not done again.
exits 0 ranks 2 score "${tiny[@]}" --model.checkpoint=trained/checkpoints --output=scored
first=$(find scored/scores -name 'step_*.h5' | sort | head -n 1) last=$(find scored/scores -name 'step_*.h5' | sort | tail -n 1)
[ "$(find scored/scores -name '*.h5' | wc -l)" -eq 4 ] || die "not four score tables"
cp "$last" last.h5 && rm "$last"
exits 0 ranks 1 score "${tiny[@]}" --model.checkpoint=trained/checkpoints --output=scored
says "$first is there from an earlier run"
exits 0 ranks 1 prune --prune.scores="$last" --output=of_last
exits 0 ranks 1 prune --prune.scores=last.h5 --output=of_copy
same of_last/kept_index.txt of_copy/kept_index.txt
for n in 1 2; do exits 0 ranks $n prune --prune.scores=scored/scores --prune.score=scores_mean --output=mean$n; done
same mean1/index_set.h5 mean2/index_set.h5
exits 2 ranks 1 prune --prune.scores=scored/scores --output=no_choice
says "--prune.score=scores_mean"
exits 0 ranks 2 score "${tiny[@]}" --model.checkpoint=trained/checkpoints --score.head=centroids --output=centres
exits 0 ranks 1 score "${tiny[@]}" --model.checkpoint="trained/checkpoints/$(basename "$last" .h5)" --score.head=centroids --output=centres_of_last
exits 0 diffprob convert "centres/scores/$(basename "$last")" of_folder.txt
exits 0 diffprob convert centres_of_last/scores.h5 of_one.txt
same of_folder.txt of_one.txt
exits 0 diffprob convert scored/scores pred_prob_fixed --to=prob-folder
exits 0 diffprob convert pred_prob_fixed three.h5 --epoch=3 --data=faces
exits 0 diffprob convert three.h5 three.txt
exits 0 diffprob convert last.h5 last.txt
same three.txt last.txt
cp last.h5 scored/scores/step_00000001.h5
exits 1 ranks 1 score "${tiny[@]}" --model.checkpoint=trained/checkpoints --output=scored
says "belongs to no checkpoint of the folder"
broken=$(find trained/checkpoints -maxdepth 1 -name 'step_*' | sort | head -n 1)
rm "$broken/backbone.pth"
exits 2 ranks 1 score "${tiny[@]}" --model.checkpoint=trained/checkpoints --output=scored2
says "$broken/backbone.pth"

# Marks: what the paper's code would have cleaned leads to the same kept set and label map.
by_threshold=(--prune.preset=reference --prune.threshold=0.003 --prune.min_kept=3)
exits 0 diffprob convert last.h5 clean.txt --to=prob-clean
exits 0 diffprob convert clean.txt clean.h5 --data=faces
says "samples are marked as mispredicted and have no probability"
exits 0 ranks 2 prune "${by_threshold[@]}" --prune.scores=clean.h5 --output=of_marks
exits 0 ranks 1 prune "${by_threshold[@]}" --prune.scores=last.h5 --data.train=faces --output=of_scores
same of_marks/kept_index.txt of_scores/kept_index.txt
same of_marks/label_map.txt of_scores/label_map.txt
exits 2 ranks 1 prune "${by_threshold[@]}" --prune.scores=clean.h5 --prune.clean=false --output=unknown
says "have no probability, so they can only be dropped"
exits 0 diffprob convert clean.h5 again.txt --to=prob-clean
same clean.txt again.txt

# Labels.
exits 0 diffprob convert of_scores/index_set.h5 label_map.pkl
exits 0 diffprob convert label_map.pkl label_map.txt
same label_map.txt of_scores/label_map.txt
exits 0 diffprob convert of_scores/kept_index.txt label_map2.pkl --to=label-map-pickle --data=faces
same label_map.pkl label_map2.pkl
exits 1 diffprob convert of_scores/kept_index.txt label_map3.pkl --to=label-map-pickle
says "has no label map; give the data set"
exits 0 diffprob convert faces label_dict.pkl --to=label-dict
exits 0 diffprob convert last.h5 label_dict2.pkl --to=label-dict
same label_dict.pkl label_dict2.pkl
exits 0 diffprob convert label_dict.pkl labels.npy --to=labels
exits 0 diffprob convert labels.npy label_dict3.pkl --to=label-dict
same label_dict.pkl label_dict3.pkl
exits 0 diffprob convert last.txt from_dict.h5 --labels=label_dict.pkl
exits 1 diffprob convert label_dict.pkl label_map4.pkl --to=label-map-pickle
says "expected int, found list"
python3 - <<'PY'
import ast, pickle
assert pickle.load(open("label_map.pkl", "rb")) == ast.literal_eval(open("label_map.txt").read())
samples = pickle.load(open("label_dict.pkl", "rb"))
assert sorted(samples) == list(samples) and all(type(each) is list for each in samples.values())
assert sorted(sum(samples.values(), [])) == list(range(sum(map(len, samples.values()))))
PY

# Suspicious samples: what prune lists is what convert lists.
exits 0 diffprob convert last.h5 suspects.csv --to=suspects --data=faces
cut -d, -f1-6,8 suspects.csv >a.csv
cut -d, -f1-6,8 of_scores/suspects.csv >b.csv
same a.csv b.csv
[ "$(wc -l <a.csv)" -gt 1 ] || die "no suspicious samples"
grep -q 'record' a.csv || die "no record is named"
echo "passed: paper files; $(($(wc -l <a.csv) - 1)) suspicious samples"
