"""A network as its library or its author builds it, before its weights are loaded."""

from dataclasses import dataclass

from torch import nn

from ..errors import InputError, one_line

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

NORMALISATION = {1: ((0.449,), (0.226,)), 3: (IMAGENET_MEAN, IMAGENET_STD)}
"""Mean and deviation of one's own network by its channels, unless --mean and --std say otherwise:
of one channel the averages of the three; where none is usual, pixels stay as they are."""

DEFAULT_INPUT_SIZE = 224
"""Input side of one's own network unless --input-size says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A network, and what those who publish it say about it.

    Attributes:
        network: with published weights only where its library loads them itself (timm).
        title, source, licence, class_names: see `ModelInfo`.
        input_size: side in pixels.
        mean, std: one number per input channel; their number says how many channels there are.
    """

    network: nn.Module
    title: str
    source: str
    licence: str = ""
    input_size: int = DEFAULT_INPUT_SIZE
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    class_names: tuple[str, ...] = ()


def imagenet_names() -> tuple[str, ...]:
    """Names of the 1,000 ImageNet classes in the usual order."""
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.DEFAULT.meta["categories"])


def set_evaluating(network: nn.Module) -> None:
    """Put a network into eval mode, also where its own `train` or `eval` forgets modules.

    Raises:
        InputError: it refuses.
    """
    try:
        network.eval()
    except Exception as error:  # programs of torch.export do
        raise InputError(
            f"{type(network).__name__} cannot be put into eval mode ({one_line(error)}); a program "
            f"of torch.export has no modules to look into: give the nn.Module it was made from"
        ) from error
    for module in network.modules():
        if module.training:
            module.training = False
