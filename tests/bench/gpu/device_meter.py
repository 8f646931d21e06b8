"""What the peers share: the device and its memory, number formats."""
import math

import torch

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "fp32": torch.float32}


def add_arguments(parser):
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", choices=list(PRECISIONS), help="default: fp16 on a GPU, fp32 on a CPU")


def precision_of(args):
    return args.precision or ("fp16" if args.device == "cuda" else "fp32")


def set_arithmetic(args):
    """Once, before the first step. PyTorch's own default would let convolutions of fp32 run in TF32."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision_of(args) != "fp32"


def autocast(args):
    """As a context: products in the number format asked for, weights in float32."""
    number = PRECISIONS[precision_of(args)]
    return torch.autocast(args.device, number, enabled=number != torch.float32)


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def reset_peak_memory(device):
    """Peaks from now on; memory that is cached and not in use goes back to the device first."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device):
    if device != "cuda":
        return {}
    return {"peak_mib": torch.cuda.max_memory_allocated() / 2**20, "peak_reserved_mib": torch.cuda.max_memory_reserved() / 2**20}


def skipped_updates(scale_before, scale_after):
    """How many updates a GradScaler has left out because of an overflow: each halves its scale."""
    return max(0, round(math.log2(scale_before / scale_after)))
