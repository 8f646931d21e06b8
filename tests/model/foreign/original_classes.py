"""Weight files and embeddings of the original classes of other projects, for foreign_networks_test (DIFFPROB_FOREIGN_FILES=OUT).

  original_classes.py OUT [evolve=FOLDER] [adaface=FOLDER] [cvlface=FOLDER] [tface=FOLDER]
FOLDER: a clone of face.evoLVe, AdaFace, CVLface, TFace. OUT gets `faces` (raw float32 [2, 3, 112, 112], RGB) and for each network
WHAT--BACKBONE--ORDER.EXT (the weights as the project saves them) with WHAT--BACKBONE--ORDER.EXT.embeddings (raw float32 [2, 512]).
"""
import argparse
import importlib
import pathlib
import sys
import types

import numpy
import torch


def stub(name, **members):
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


def load_module(folder, name):
    for known in [known for known in sys.modules if known.split(".")[0] == name.split(".")[0]]:
        del sys.modules[known]
    sys.path.insert(0, str(folder))
    module = importlib.import_module(name)
    sys.path.pop(0)
    return module


def randomised(network):
    """Every parameter and statistic differs from what an untrained network has."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                if module.affine:
                    module.weight.uniform_(0.4, 0.8)
                    module.bias.normal_(0, 0.1)
            elif isinstance(module, torch.nn.PReLU):
                module.weight.uniform_(0.1, 0.4)
    return network.eval()


class Writer:
    def __init__(self, out):
        self.out = out
        self.faces = torch.rand(2, 3, 112, 112) * 2 - 1
        self.faces.numpy().tofile(out / "faces")

    def write(self, name, network, checkpoint, embed=None, order="rgb", extension=".pth", **options):
        network = randomised(network)
        path = self.out / f"{name}--{order}{extension}"
        if extension == ".safetensors":
            from safetensors.torch import save_file
            save_file(checkpoint(network), path)
        else:
            torch.save(checkpoint(network), path, **options)
        with torch.no_grad():
            faces = self.faces if order == "rgb" else self.faces.flip(1)
            embeddings = (embed or network)(faces)
        embeddings.numpy().astype(numpy.float32).tofile(f"{path}.embeddings")
        print(path.name, f"largest value {embeddings.abs().max().item():.3g}", flush=True)


def write_evolve(writer, folder):
    classes = load_module(folder, "backbone.model_irse")
    for name, backbone in (("IR_50", "iresnet50"), ("IR_101", "iresnet100"), ("IR_SE_50", "iresnet50_se")):
        writer.write(f"evolve_{name}--{backbone}", getattr(classes, name)([112, 112]), lambda net: net.state_dict())
    writer.write("evolve_old_IR_50--iresnet50", classes.IR_50([112, 112]), lambda net: net.state_dict(), _use_new_zipfile_serialization=False)


def write_adaface(writer, folder):
    classes = load_module(folder, "net")

    def lightning(net):
        entries = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
        entries["head.kernel"] = torch.randn(512, 100)
        return {"epoch": 25, "state_dict": entries, "hyper_parameters": argparse.Namespace(arch="ir_50"),
                "optimizer_states": [{"state": {0: {"momentum_buffer": torch.zeros(3)}}}], "callbacks": {}}

    for name, backbone in (("ir_18", "iresnet18"), ("ir_34", "iresnet34"), ("ir_50", "iresnet50"), ("ir_101", "iresnet100"), ("ir_se_50", "iresnet50_se")):
        network = classes.build_model(name)
        for order in ("bgr", "rgb") if name == "ir_18" else ("bgr",):
            writer.write(f"adaface_{name}--{backbone}", network, lightning, lambda x: torch.mul(*network(x)), order, ".ckpt")


def write_cvlface(writer, folder):
    stub("fvcore")
    stub("fvcore.nn", flop_count=None)
    classes = load_module(folder / "cvlface/research/recognition/code/run_v1/models/iresnet", "model")
    for name, backbone in (("IR_18", "iresnet18"), ("IR_50", "iresnet50"), ("IR_101", "iresnet100")):
        writer.write(f"cvlface_{name}--{backbone}", getattr(classes, name)([112, 112]), lambda net: {f"net.{k}": v for k, v in net.state_dict().items()})
    writer.write("cvlface_hub_IR_50--iresnet50", classes.IR_50([112, 112]), lambda net: {f"model.net.{k}": v for k, v in net.state_dict().items()},
                 extension=".safetensors")


def write_tface(writer, folder):
    classes = load_module(folder / "recognition", "torchkit.backbone.model_irse")
    for name, backbone in (("IR_18", "iresnet18"), ("IR_50", "iresnet50"), ("IR_SE_50", "iresnet50_se")):
        writer.write(f"tface_{name}--{backbone}", getattr(classes, name)([112, 112]), lambda net: {f"module.{k}": v for k, v in net.state_dict().items()})


def main(out, *projects):
    torch.manual_seed(7)
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    writer = Writer(pathlib.Path(out))
    writers = {"evolve": write_evolve, "adaface": write_adaface, "cvlface": write_cvlface, "tface": write_tface}
    for project in projects:
        name, folder = project.split("=", 1)
        writers[name](writer, pathlib.Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
