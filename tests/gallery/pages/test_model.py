"""The page of a model: repeated blocks fold, and nothing is lost by it."""

from dataclasses import replace
from pathlib import Path

import pytest

from atlas.gallery.write import check_site
from atlas.records.atlas import ModelAtlas
from tests.gallery.test_write import Parsed, build, small

NAMES = (
    ("stem", "Conv2d"),
    *((f"layer3.{block}", "Bottleneck") for block in range(7)),
    *((f"layer4.{block}", "Bottleneck") for block in range(3)),
)


def of_one_shape(atlas: ModelAtlas) -> ModelAtlas:
    """The atlas, all layers of which have the shape of the first."""
    first = atlas.layers[0].info
    layers = (
        replace(one, info=replace(one.info, height=first.height, width=first.width))
        for one in atlas.layers
    )
    return replace(atlas, layers=tuple(layers))


def headings(path: Path) -> list[str]:
    """The layers in the order of the page, and `×` in front of those that are folded."""
    page = path.read_text()
    inside = page.partition("<details")[2].partition("</details>")[0]
    ids = [str(tag["id"]) for tag in Parsed(page).all("section") if tag.get("class") == "row"]
    return [f"×{one}" if f'<section class="row" id="{one}"' in inside else one for one in ids]


def test_blocks_between_the_first_and_the_last_of_a_long_stage_fold(tmp_path: Path) -> None:
    build(tmp_path, of_one_shape(small(layers=11, names=NAMES, units=2, plain=True)))
    page = tmp_path / "synthetic/index.html"
    between = [f"×layer3.{block}" for block in range(1, 6)]
    fourth = [f"layer4.{block}" for block in range(3)]
    assert headings(page) == ["stem", "layer3.0", *between, "layer3.6", *fourth]
    text = " ".join(page.read_text().split())
    assert "<b><bdi>layer3</bdi> × 7</b> blocks of one shape" in text
    assert text.count('<details class="fold"') == 1
    assert check_site(tmp_path) == []


@pytest.mark.parametrize("odd", ["type", "height"])
def test_a_block_of_another_shape_or_type_ends_a_stage(tmp_path: Path, odd: str) -> None:
    atlas = of_one_shape(small(layers=11, names=NAMES, units=2, plain=True))
    layers = list(atlas.layers)
    changed = {"type": "Other", "height": 1}[odd]
    layers[4] = replace(layers[4], info=replace(layers[4].info, **{odd: changed}))
    build(tmp_path, replace(atlas, layers=tuple(layers)))
    assert not [one for one in headings(tmp_path / "synthetic/index.html") if one[0] == "×"]
