"""Compare the statistics of a network with those of plain hooks on the untouched network.

`python -m tests.agreement` goes over all classification networks of torchvision and twenty of timm
and prints a line for each; `test_agreement.py` does six of them.
"""

import functools
import sys
import time
from dataclasses import replace

import torch
from torch import Tensor, nn

from atlas.images.load import Loaded, find_images, load
from atlas.images.tensors import to_tensor
from atlas.models.blueprint import Blueprint
from atlas.models.load import Model
from atlas.models.timm import import_timm
from atlas.network.network import Network, spatial_mean
from tests.helpers import calibrate
from tests.test_every_model import built, model_of, names_of

TIMM = (
    *("resnet18d", "resnest14d", "seresnet18", "mobilenetv3_small_050", "efficientnet_b0"),
    *("tf_efficientnetv2_b0", "regnety_002", "convnext_atto", "convnextv2_atto", "nf_resnet26"),
    *("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "swin_s3_tiny_224", "pvt_v2_b0"),
    *("mixer_s32_224", "poolformer_s12", "ghostnet_100", "repvgg_a0", "dla34", "coat_lite_tiny"),
)

SIDE = 128
"""Of the images, where a network does not insist on another one."""


@functools.cache
def photographs(side: int) -> Tensor:
    """(14, 3, side, side): the embedded photographs, normalised."""
    found = find_images("sample")
    first = {item.path: item for item in reversed(found.items)}
    items = tuple(item for item in found.items if item in first.values())
    loaded = load(replace(found, items=items), side, side)
    pixels = [one.pixels for one in loaded if isinstance(one, Loaded)]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((to_tensor(pixels) - mean.view(3, 1, 1)) / std.view(3, 1, 1)).contiguous()


def by_plain_hooks(network: nn.Module, model: Model, images: Tensor) -> dict[str, Tensor]:
    """Layer → (N, C) spatial means: one image at a time, the whole network, one hook a module."""
    reader = Network(model, [], torch.device("cpu"))  # only to read layouts
    found: dict[str, list[Tensor]] = {row.name: [] for row in model.layers if "all" in row.groups}
    calls: dict[str, int] = {}

    def hook(name: str, output: object) -> None:
        call = calls[name] = calls.get(name, -1) + 1
        row = f"{name}:{call}" if call else name
        if row in found:
            found[row].append(reader.maps(row, output).double().mean((2, 3)))

    handles = [
        module.register_forward_hook(lambda _m, _i, out, name=name: hook(name, out))
        for name, module in network.named_modules()
        if name
    ]
    for place in range(len(images)):
        calls.clear()
        with torch.no_grad():
            network(images[place : place + 1])
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


def largest_difference(name: str) -> tuple[float, str, Network]:
    """Over all layers of a network: the largest difference of a channel's mean over the images,
    over the layer's spread from image to image, and where."""
    model = timm_model(name) if name.startswith("timm/") else torchvision_model(name)
    images = photographs(model.info.input_size)
    wanted = by_plain_hooks(model.network, model, images)
    network = Network(model, list(wanted), torch.device("cpu"))
    with torch.no_grad(), network.tap(dict.fromkeys(wanted, spatial_mean)) as run:
        parts = [run(images[place : place + 4], normalised=True) for place in range(0, 14, 4)]
    worst = {}
    for layer, means in wanted.items():
        got = torch.cat([part[layer] for part in parts]).mean(0)
        spread = max(float(means.std(0).square().mean().sqrt()), 1e-9)
        worst[layer] = float((got - means.mean(0)).abs().max()) / spread
    where = max(worst, key=lambda layer: worst[layer])
    return worst[where], where, network


def torchvision_model(name: str) -> Model:
    """A calibrated network of torchvision with random weights."""
    plan, side = built(name)
    return calibrated(plan, side if name.startswith("vit_") else max(side, SIDE))


def timm_model(name: str) -> Model:
    """A calibrated network of timm with random weights."""
    torch.manual_seed(0)
    network = import_timm(name).create_model(name.removeprefix("timm/"), pretrained=False)
    side = int(network.pretrained_cfg["input_size"][-1])
    return calibrated(Blueprint(network=network, title=name, source="timm"), side)


def calibrated(plan: Blueprint, side: int) -> Model:
    """The model of a network whose BatchNorm statistics are those of photographs."""
    calibrate(plan.network, photographs(side)).requires_grad_(False)
    return model_of(plan, side)


def main(names: list[str]) -> None:
    """Print a line for each network."""
    chosen = names or [*names_of("classification"), *(f"timm/{name}" for name in TIMM)]
    for name in chosen:
        began = time.perf_counter()
        try:
            worst, where, network = largest_difference(name)
        except Exception as error:
            print(f"{name:32s} FAILED {type(error).__name__}: {str(error)[:150]}", flush=True)
            continue
        seconds = time.perf_counter() - began
        said = "; ".join(filter(None, (network.needs, network.fallback)))
        print(f"{name:32s} {worst:8.1e} {where:40s} {seconds:5.1f} s  {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
