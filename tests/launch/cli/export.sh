#!/usr/bin/env bash
# Backbones through the real program, from a checkpoint and from .pth: export.sh DIFFPROB_PROGRAM WORK_FOLDER.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" && cd "$work"
log=$work/log
. "$here/../program.sh"

exits 0 diffprob data synth faces --synthetic.identities=4 --synthetic.images_per_identity=6 --synthetic.verification_pairs=10 --synthetic.verification_identities=4
timeout 120 mpirun -np 1 --oversubscribe --bind-to none "$program" train --data.train=faces --output=run --device=cpu --threads=1 --train.epochs=1 \
  --train.batch_size=8 --train.ema_decay=0.5 --model.backbone=tiny --model.embedding_dim=32 --train.tensorboard=false >"$log" 2>&1 || die "no training"
checkpoint=$(ls -d run/checkpoints/step_* | tail -n 1)
network=(--model.backbone=tiny --model.embedding_dim=32)

# The same network from the checkpoint and from its .pth.
exits 0 diffprob export --model.checkpoint="$checkpoint" --file=tiny.pth
says "tiny with 32-d embeddings after 2 steps"
exits 0 diffprob export --model.checkpoint="$checkpoint" --file=tiny.onnx
says "opset 13, 25 batch norms"
exits 0 diffprob export --model.checkpoint=tiny.pth "${network[@]}" --file=again.onnx
same tiny.onnx again.onnx
exits 0 diffprob export --model.checkpoint=tiny.pth "${network[@]}" --file=again.pth
same tiny.pth again.pth
exits 0 diffprob export --model.checkpoint="$checkpoint" --file=tiny.safetensors
exits 0 diffprob export --model.checkpoint=tiny.safetensors "${network[@]}" --file=from_safetensors.pth
same tiny.pth from_safetensors.pth
# A network for BGR images becomes one for RGB images, and again one for BGR images.
exits 0 diffprob export --model.checkpoint=tiny.pth "${network[@]}" --model.channel_order=bgr --file=reversed.pth
says "tiny.pth the input channels of its first convolution are reversed"
! cmp -s tiny.pth reversed.pth || die "model.channel_order=bgr changes nothing"
exits 0 diffprob export --model.checkpoint=reversed.pth "${network[@]}" --model.channel_order=bgr --file=twice.pth
same tiny.pth twice.pth
exits 0 diffprob export --model.checkpoint="$checkpoint" --model.channel_order=bgr --file=twice.pth
says "model.channel_order has no effect"
same tiny.pth twice.pth
exits 0 diffprob export --model.checkpoint="$checkpoint" --file=folded.onnx --fold-bn
says "opset 13, 6 batch norms kept"
! cmp -s tiny.onnx folded.onnx || die "--fold-bn changes nothing"
cp tiny.onnx kept.onnx
exits 0 diffprob export --model.checkpoint="$checkpoint" --file=tiny.onnx --fold-bn
same tiny.onnx folded.onnx

# Requests that cannot be met leave what was there.
exits 2 diffprob export --model.checkpoint="$checkpoint"
says "usage:"
exits 2 diffprob export --file=a.onnx
says "model.checkpoint: this command needs"
exits 2 diffprob export --model.checkpoint="$checkpoint" --file=a.pt --fold-bn
says "--file=a.pt: expected a name that ends with .onnx, .pth or .safetensors"
exits 2 diffprob export --model.checkpoint="$checkpoint" --file=a.pth --fold-bn
says "--fold-bn: only for .onnx"
exits 2 diffprob export --model.checkpoint="$checkpoint" --file=a.onnx --fold
says "--fold: unknown flag"
exits 2 diffprob train --fold-bn
says "--fold-bn: unknown flag"
exits 2 diffprob export --model.checkpoint=tiny.pth "${network[@]}" --file=./tiny.pth
says "is the input itself"
exits 1 diffprob export --model.checkpoint=tiny.pth --model.backbone=tiny --model.embedding_dim=64 --file=a.onnx
says "tiny.pth: weights do not fit the network"
says "wrong shape: fc.weight"
exits 1 diffprob export --model.checkpoint=kept.onnx "${network[@]}" --file=a.onnx
says "kept.onnx: expected a weight file"
exits 1 diffprob export --model.checkpoint=tiny.pth --model.backbone=iresnet18 --model.embedding_dim=32 --file=a.onnx
says "set model.backbone=tiny"
exits 1 diffprob export --model.checkpoint=none.pth "${network[@]}" --file=a.onnx
says "none.pth"
exits 1 diffprob export --model.checkpoint="$checkpoint" --file=none/a.onnx
says "none/a.onnx"
[ ! -e a.onnx ] && [ ! -e a.pt ] && [ ! -e a.pth ] || die "a refused request wrote a file"
! ls ./*.tmp.* >/dev/null 2>&1 || die "a temporary file is left"
same tiny.pth again.pth
echo "passed: export"
