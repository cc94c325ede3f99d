"""CNN atlas: rank, render, score and show the units of a convolutional network.

From a notebook or a training script:

    import atlas

    result = atlas.build(network, "photographs", layers=["layer4"], units=20, name="epoch 3")
    result                                  # in a notebook: a contact sheet
    result.site                             # path of the site's index.html
    result["layer4"].units[0].image         # (H, W, 3) uint8
    result["layer4"].units[0].scores.reach

This is the only public door; everything else may move. To see how it works, start reading at
`atlas.pipeline.make_atlas`, the table of contents of the whole package.
"""

from typing import TYPE_CHECKING

from .errors import AtlasError, CacheError, CheckError, InputError, UsageError

if TYPE_CHECKING:
    import os

    from torch import nn

    from .notebook.result import Result

__all__ = [
    "AtlasError",
    "CacheError",
    "CheckError",
    "InputError",
    "UsageError",
    "__version__",
    "build",
]

__version__ = "0.1.0"


def build(
    model: "nn.Module | str",
    images: "str | os.PathLike[str]" = "sample",
    **options: object,
) -> "Result":
    """Make or complete the atlas of a network; does only what the cache does not hold.

    Args:
        model: your network, which is afterwards as it was before, on its device and in its modes;
            or a name as --model takes it, such as "googlenet".
        images: a folder of images, "sample" or "imagenette".
        options: those of `build_atlas.py build` with `_` for `-`: numbers, texts, paths, lists of
            them, True and False. `name` says what cache and site call the atlas; without it a
            network is called by its class.

    Returns:
        Where the site is, and units, scores and pictures as numpy. Units that failed are no
        exception: they are in its `failures`.

    Raises:
        UsageError: an option is unknown, has a value outside its limits, or is for the command line
            only.
        InputError: the network or the images cannot be used.
        CacheError: the cache or the site cannot be read or written.
        CheckError: the site is too large to publish.
    """
    from .notebook.build import build_from_python  # torch takes seconds, `import atlas` need not

    return build_from_python(model, images, options)
