"""PyTorch side of the weight-file tests: IResNet, the MobileFaceNets and vision transformers as PyTorch modules, written from their state-dict names.

  inspect FILE                     one line an entry: name, dtype, shape, sum in float64
  write FILE                       a state dict with all that torch.save can put into one: see special_state_dict
  write-trainers FILE              checkpoints of trainers in which much besides the state dict is pickled: see write_trainers
  inspect-safetensors FILE, write-safetensors FILE   the same with the safetensors package; "absent" when there is none
  embed NETWORK FILE FACES OUT     load_state_dict(torch.load(FILE), strict=True), then embeddings of FACES to OUT
  export NETWORK FILE FACES OUT    a network with PyTorch's own random weights to FILE, its embeddings of FACES to OUT
FACES: raw float32 [n, 3, 112, 112]; OUT: raw float32 [n, 512].
"""
import argparse
import collections
import functools
import pathlib
import sys
from collections import OrderedDict

import numpy
import torch
from torch import nn


class SqueezeExcitation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x):
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class IResNetBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, with_se):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        if with_se:
            self.se_block = SqueezeExcitation(outputs)

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        if hasattr(self, "se_block"):
            y = self.se_block(y)
        return y + (self.downsample(x) if hasattr(self, "downsample") else x)


class IResNet(nn.Module):
    BLOCKS = {"iresnet18": (2, 2, 2, 2), "iresnet34": (3, 4, 6, 3), "iresnet50": (3, 4, 14, 3), "iresnet100": (3, 13, 30, 3)}

    def __init__(self, name):
        super().__init__()
        with_se = name.endswith("_se")
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        channels = 64
        for stage, blocks in enumerate(self.BLOCKS[name.removesuffix("_se")]):
            width = 64 << stage
            layers = [IResNetBlock(channels if i == 0 else width, width, 2 if i == 0 else 1, with_se) for i in range(blocks)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
            channels = width
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))


class ConvolutionBlock(nn.Module):
    def __init__(self, inputs, outputs, kernel=1, stride=1, padding=0, groups=1, prelu=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        if prelu:
            self.prelu = nn.PReLU(outputs)

    def forward(self, x):
        x = self.bn(self.conv(x))
        return self.prelu(x) if hasattr(self, "prelu") else x


class DepthwiseBlock(nn.Module):
    def __init__(self, inputs, outputs, width, stride=2, shortcut=False):
        super().__init__()
        self.shortcut = shortcut
        self.conv = ConvolutionBlock(inputs, width)
        self.conv_dw = ConvolutionBlock(width, width, 3, stride, 1, groups=width)
        self.project = ConvolutionBlock(width, outputs, prelu=False)

    def forward(self, x):
        y = self.project(self.conv_dw(self.conv(x)))
        return x + y if self.shortcut else y


class ResidualStage(nn.Module):
    def __init__(self, channels, width, blocks):
        super().__init__()
        self.model = nn.Sequential(*[DepthwiseBlock(channels, channels, width, 1, True) for _ in range(blocks)])

    def forward(self, x):
        return self.model(x)


class GlobalDepthwiseOutput(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_6_dw = ConvolutionBlock(512, 512, 7, groups=512, prelu=False)
        self.linear = nn.Linear(512, 512, bias=False)
        self.bn = nn.BatchNorm1d(512, affine=False)

    def forward(self, x):
        return self.bn(self.linear(self.conv_6_dw(x).flatten(1)))


class MobileFaceNet(nn.Sequential):
    def __init__(self):
        super().__init__(OrderedDict(
            conv1=ConvolutionBlock(3, 64, 3, 2, 1), conv2_dw=ConvolutionBlock(64, 64, 3, 1, 1, groups=64),
            conv_23=DepthwiseBlock(64, 64, 128), conv_3=ResidualStage(64, 128, 4),
            conv_34=DepthwiseBlock(64, 128, 256), conv_4=ResidualStage(128, 256, 6),
            conv_45=DepthwiseBlock(128, 128, 512), conv_5=ResidualStage(128, 256, 2),
            conv_6_sep=ConvolutionBlock(128, 512), output_layer=GlobalDepthwiseOutput()))


class Attention(nn.Module):
    """Scaled dot products written out, as the networks that were published compute them."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        images, tokens, width = x.shape
        q, k, v = (part.view(images, tokens, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=2))
        weights = torch.softmax(q @ k.transpose(2, 3) * (width // self.heads) ** -0.5, dim=3)
        return self.proj((weights @ v).transpose(1, 2).reshape(images, tokens, width))


class TransformerBlock(nn.Module):
    """A branch is dropped, per image, with probability drop_path in training; the others grow by 1 / (1 - drop_path)."""

    def __init__(self, width, heads, hidden, drop_path):
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(width, hidden), act=nn.ReLU6(), fc2=nn.Linear(hidden, width)))

    def kept(self, branch):
        if not self.training or self.drop_path == 0:
            return branch
        stays = torch.rand(len(branch), 1, 1) >= self.drop_path
        return branch * (stays / (1 - self.drop_path))

    def forward(self, x):
        x = x + self.kept(self.attn(self.norm1(x)))
        return x + self.kept(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    #        width, depth, heads, hidden, patch, drop_path, mask_ratio, has a mask token
    SHAPES = {"vit_nano": (64, 2, 2, 256, 9, 0.1, 0.1, True), "vit_t": (256, 12, 8, 1024, 9, 0.1, 0.1, True),
              "vit_s": (512, 12, 8, 2048, 9, 0.1, 0.1, True), "vit_b": (512, 24, 8, 2048, 9, 0.1, 0.1, True),
              "vit_l": (768, 24, 8, 3072, 9, 0.05, 0.1, True), "vit_h": (1024, 48, 8, 4096, 9, 0.1, 0, True),
              "cvlface_vit_s": (512, 12, 8, 2560, 8, 0.1, 0.1, True), "cvlface_vit_b": (512, 24, 16, 1536, 8, 0.1, 0, False)}

    def __init__(self, name, drop_path=None, mask_ratio=None, embedding=512):
        super().__init__()
        width, depth, heads, hidden, patch, published_path, published_mask, has_token = self.SHAPES[name]
        drop_path = published_path if drop_path is None else drop_path
        side = 112 // patch
        self.masked = side**2 - int(side**2 * (1 - (published_mask if mask_ratio is None else mask_ratio)))
        self.pos_embed = nn.Parameter(torch.randn(1, side**2, width) * 0.02)
        if has_token:
            self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(3, width, patch, patch)))
        rates = [drop_path * i / (depth - 1) for i in range(depth)]
        self.blocks = nn.Sequential(*[TransformerBlock(width, heads, hidden, rate) for rate in rates])
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(nn.Linear(width * side**2, width, bias=False), nn.BatchNorm1d(width, eps=2e-5),
                                     nn.Linear(width, embedding, bias=False), nn.BatchNorm1d(embedding, eps=2e-5))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, faces):
        x = self.patch_embed(faces).flatten(2).transpose(1, 2) + self.pos_embed
        if self.training and self.masked > 0:
            images, tokens, width = x.shape
            kept = torch.rand(images, tokens).argsort(1)[:, self.masked:, None].expand(-1, -1, width)
            x = self.norm(self.blocks(x.gather(1, kept)))
            x = self.mask_token.expand(images, tokens, width).scatter(1, kept, x)
        else:
            x = self.norm(self.blocks(x))
        return self.feature(x.flatten(1))


class Numbered(nn.Module):
    """Layers that are called layers.0, layers.1, ... in the state dict."""

    def __init__(self, *layers, shortcut=False):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.shortcut = shortcut

    def forward(self, x):
        return x + self.layers(x) if self.shortcut else self.layers(x)


def numbered_convolution(inputs, outputs, kernel=1, stride=1, padding=0, groups=1, prelu=True):
    activation = [nn.PReLU(outputs)] if prelu else []
    return Numbered(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(outputs), *activation)


def numbered_bottleneck(inputs, outputs, width, stride=2, shortcut=False):
    return Numbered(
        numbered_convolution(inputs, width), numbered_convolution(width, width, 3, stride, 1, groups=width),
        numbered_convolution(width, outputs, prelu=False), shortcut=shortcut)


def numbered_stage(channels, width, blocks):
    return Numbered(*[numbered_bottleneck(channels, channels, width, 1, True) for _ in range(blocks)])


class WideMobileFaceNet(nn.Module):
    """mbf and mbf_large of arcface_torch: as MobileFaceNet, with 2 or 4 times its channels."""

    def __init__(self, channels, blocks):
        super().__init__()
        first, *others = blocks
        wide = 2 * channels
        self.layers = nn.ModuleList([
            numbered_convolution(3, channels, 3, 2, 1),
            numbered_convolution(channels, channels, 3, 1, 1, groups=64) if first == 1 else numbered_stage(channels, 128, first),
            numbered_bottleneck(channels, channels, 128), numbered_stage(channels, 128, others[0]),
            numbered_bottleneck(channels, wide, 256), numbered_stage(wide, 256, others[1]),
            numbered_bottleneck(wide, wide, 512), numbered_stage(wide, 256, others[2])])
        self.conv_sep = numbered_convolution(wide, 512)
        self.features = Numbered(
            numbered_convolution(512, 512, 7, groups=512, prelu=False), nn.Flatten(), nn.Linear(512, 512, bias=False), nn.BatchNorm1d(512))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.features(self.conv_sep(x))


def make_network(name):
    if name in VisionTransformer.SHAPES:
        return VisionTransformer(name)
    if name == "mobilefacenet":
        return MobileFaceNet()
    if name == "mbf":
        return WideMobileFaceNet(128, (1, 4, 6, 2))
    if name == "mbf_large":
        return WideMobileFaceNet(256, (2, 8, 12, 4))
    return IResNet(name)


def special_state_dict():
    """Every dtype, a view of part of another entry's storage, a transposed view, a Parameter, a scalar, an empty tensor, DDP's prefix."""
    shared = torch.arange(24, dtype=torch.float32) / 7
    entries = OrderedDict()
    entries["module.plain"] = shared.view(4, 6)
    entries["module.part_of_plain"] = shared[6:18].view(3, 4)
    entries["module.transposed"] = (torch.arange(30, dtype=torch.float64) / 3).view(5, 6).t()
    entries["module.parameter"] = nn.Parameter(torch.linspace(-1, 1, 9).view(3, 3))
    entries["module.half"] = torch.linspace(-2, 2, 7).half()
    entries["module.bfloat16"] = torch.linspace(-2, 2, 7).bfloat16()
    entries["module.int64"] = torch.tensor([-2**40, 3, 2**50])
    entries["module.int32"] = torch.tensor([[-7], [2**30]], dtype=torch.int32)
    entries["module.uint8"] = torch.arange(250, 256).to(torch.uint8)
    entries["module.bool"] = torch.tensor([True, False, True])
    entries["module.scalar"] = torch.tensor(11)
    entries["module.empty"] = torch.zeros(0, 3)
    entries._metadata = OrderedDict({"": {"version": 1}, "module": {"version": 2}})
    return entries


def write_trainers(path):
    """What PyTorch Lightning and others put beside the weights: classes, functions, sets, long ints, NumPy values, optimiser states."""
    entries = OrderedDict({"net.weight": torch.linspace(0, 1, 12).view(3, 4), "net.bias": torch.ones(3), "net.count": torch.tensor(5)})
    optimizer = {"state": {0: {"step": torch.tensor(3.), "exp_avg": torch.zeros(3, 4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    checkpoint = {
        "epoch": 4, "global_step": 2**70, "pytorch-lightning_version": "1.8.6", "state_dict": entries, "optimizer_states": [optimizer],
        "optimizer": optimizer, "callbacks": {"checkpoint": {"best": torch.tensor(0.5), "mode": {"max", "min"}, "frozen": frozenset([1])}},
        "hyper_parameters": argparse.Namespace(arch="ir_50", rates=collections.deque([1, 2]), path=pathlib.PurePosixPath("/a"), device=torch.device("cpu")),
        "numpy": numpy.float64(0.25), "array": numpy.arange(5), "function": functools.partial(print, 1), "dtype": torch.float32,
        "defaults": collections.defaultdict(list, a=[1]), "complex": 1 + 2j, "random": numpy.random.default_rng(1).bit_generator.state}
    torch.save(checkpoint, path + ".lightning")
    torch.save(checkpoint, path + ".protocol5", pickle_protocol=5)
    torch.save(checkpoint, path + ".lightning_old", _use_new_zipfile_serialization=False)
    module = nn.Sequential(nn.Linear(3, 4))
    torch.save(module, path + ".module")
    torch.save(module, path + ".module_old", _use_new_zipfile_serialization=False)
    torch.jit.trace(module, torch.zeros(1, 3)).save(path + ".script")
    torch.save({"weight": torch.eye(3).to_sparse()}, path + ".sparse")
    torch.save(torch.zeros(3, 4), path + ".tensor")
    print_entries(entries)


def print_entries(entries):
    for name, tensor in entries.items():
        shape = "x".join(map(str, tensor.shape))
        print(name, str(tensor.dtype).removeprefix("torch."), shape or "scalar", repr(tensor.double().sum().item()))


def read_faces(path):
    return torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32).reshape(-1, 3, 112, 112))


def write_embeddings(network, faces, path):
    network.eval()
    with torch.no_grad():
        network(read_faces(faces)).numpy().astype(numpy.float32).tofile(path)


def main(command, *arguments):
    torch.manual_seed(4)
    if command == "inspect":
        print_entries(torch.load(arguments[0]))
    elif command == "write":
        entries = special_state_dict()
        torch.save(entries, arguments[0])
        torch.save({"epoch": 3, "state_dict": entries, "lr": 0.1}, arguments[0] + ".nested")
        head = {"weight": torch.zeros(3, 4)}
        torch.save({"epoch": 3, "state_dict_backbone": entries, "state_dict_softmax_fc": head}, arguments[0] + ".trainer")
        torch.save({"step": 1, "net": {"model": entries}, "optimizer": {"state": {}, "param_groups": []}}, arguments[0] + ".deeper")
        torch.save(torch.zeros(3, 4), arguments[0] + ".tensor")
        torch.save(entries, arguments[0] + ".old", _use_new_zipfile_serialization=False)
        print_entries(entries)
    elif command.endswith("-safetensors"):
        try:
            from safetensors.torch import load_file, save_file
        except ImportError:
            sys.exit(print("absent"))
        if command == "write-safetensors":
            save_file({name: tensor.detach().contiguous().clone() for name, tensor in special_state_dict().items()}, arguments[0], {"a": "b"})
        print_entries(dict(sorted(load_file(arguments[0]).items())))
    elif command == "write-trainers":
        write_trainers(arguments[0])
    elif command == "embed":
        network = make_network(arguments[0])
        network.load_state_dict(torch.load(arguments[1]), strict=True)
        write_embeddings(network, *arguments[2:])
    elif command == "export":
        network = make_network(arguments[0])
        network.train()
        with torch.no_grad():
            network(torch.rand(4, 3, 112, 112) * 2 - 1)  # running statistics that are not 0 and 1
        torch.save(network.state_dict(), arguments[1])
        write_embeddings(network, *arguments[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
