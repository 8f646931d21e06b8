"""PyTorch side of the weight-file tests: IResNet and the MobileFaceNets as PyTorch modules, written from their state-dict names.

  inspect FILE                     one line an entry: name, dtype, shape, sum in float64
  write FILE                       a state dict with all that torch.save can put into one: see special_state_dict
  embed NETWORK FILE FACES OUT     load_state_dict(torch.load(FILE), strict=True), then embeddings of FACES to OUT
  export NETWORK FILE FACES OUT    a network with PyTorch's own random weights to FILE, its embeddings of FACES to OUT
FACES: raw float32 [n, 3, 112, 112]; OUT: raw float32 [n, 512].
"""
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
