"""The classifier head of the peers, as arcface_torch's Partial FC makes it on one GPU."""
import torch
import torch.nn.functional as F

import device_meter
import hashed_values

SCALE, MARGIN = 64.0, 0.35


class SoftmaxCrossEntropy(torch.autograd.Function):
    """Over logits whose buffer becomes the gradient, as a sharded head does it."""

    @staticmethod
    def forward(ctx, logits, labels):
        largest = logits.max(1, keepdim=True).values
        logits = logits.sub_(largest).exp_()
        logits.div_(logits.sum(1, keepdim=True))
        own = logits.gather(1, labels[:, None])
        ctx.save_for_backward(logits, labels)
        return own.clamp_min(1e-30).log().mean().neg()

    @staticmethod
    def backward(ctx, grad):
        logits, labels = ctx.saved_tensors
        logits.scatter_add_(1, labels[:, None], torch.full_like(labels[:, None], -1, dtype=logits.dtype))
        return logits.div_(logits.size(0)).mul_(grad), None


def margin_loss(embeddings, weight, labels, args):
    """CosFace: product of normalised rows under autocast, float32 logits."""
    with device_meter.autocast(args):
        logits = F.linear(F.normalize(embeddings), F.normalize(weight))
    logits = logits.float().clamp(-1, 1)
    own = torch.arange(labels.numel(), device=labels.device)
    logits[own, labels] -= MARGIN
    return SoftmaxCrossEntropy.apply(logits * SCALE, labels)


class Head(torch.nn.Module):
    def __init__(self, classes, args):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(classes, 512, device=args.device), requires_grad=True)
        hashed_values.fill_centres(self.weight)
        self.args = args

    def forward(self, embeddings, labels):
        return margin_loss(embeddings, self.weight, labels, self.args)
