"""A layer drawn: which files, which pictures in memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atlas.gallery import sheets
from atlas.gallery.draw import Illustrator
from atlas.gallery.draw_units import Source, draw_unit
from atlas.gallery.tree import Tree
from atlas.records.atlas import ModelAtlas
from atlas.records.units import Rendering, Unit
from tests.synthetic import SyntheticPictures, make_atlas


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def illustrator(folder: Path, atlas: ModelAtlas, pool: ThreadPoolExecutor) -> Illustrator:
    pictures = SyntheticPictures(atlas, octaves=2, side=64)
    return Illustrator(
        atlas=atlas,
        pictures=pictures,
        tree=Tree(folder, "m", pool),
        labels={Unit(layer="conv_stem", channel=atlas.layers[0].chosen[0]): "eyes"},
        squares=sheets.Squares(pictures.sample),
    )


def test_units_come_in_the_order_they_were_chosen(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    atlas = make_atlas(layers=1, units=20, images=4, size=32, plain=True)
    view, pairs = illustrator(tmp_path, atlas, pool).draw(atlas.layers[0], "f")
    assert tuple(unit.channel for unit in view.units) == atlas.layers[0].chosen
    assert [unit.rank for unit in view.units] == list(range(1, 21))
    assert view.units[0].label == "eyes"
    assert len(pairs) == 1  # all other pixels are dropped


def test_fewer_images_than_places_give_fewer_examples(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    atlas = make_atlas(layers=1, units=2, images=3, size=32, plain=True)
    drawn = illustrator(tmp_path, atlas, pool)
    view, _ = drawn.draw(atlas.layers[0], "f")
    assert all(len(unit.examples) == 3 for unit in view.units)
    assert {shot.file for shot in drawn.wholes.values()} == {
        f"../images/{index}.jpg" for index in range(3)
    }
    drawn.tree.discard()


def test_a_failed_rendering_is_shown_without_asking_for_its_pixels(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    atlas = make_atlas(layers=1, units=2, images=1, size=32, plain=True)
    layer = atlas.layers[0]
    first, second = layer.renderings
    failed = replace(first, status="failed", reason="ValueError: cursed")
    drawn = illustrator(tmp_path, atlas, pool)
    asked: list[Unit] = []

    class Asked(SyntheticPictures):
        def rendering(self, unit: Unit, recipe: str) -> Rendering:
            asked.append(unit)
            return super().rendering(unit, recipe)

    drawn.pictures = Asked(atlas, side=64)
    view, _ = drawn.draw(replace(layer, renderings=(failed, second)), "f")
    assert asked == [second.unit]
    assert [unit.status for unit in view.units] == ["failed", "ok"]
    assert view.units[0].thumb is None
    drawn.tree.discard()


@pytest.mark.parametrize(
    ("status", "squares", "pairs"), [("ok", 1, 1), ("weak", 1, 0), ("ok", 0, 0)]
)
def test_only_trusted_pictures_beside_a_patch_stand_on_the_card(
    status: str, squares: int, pairs: int
) -> None:
    atlas = make_atlas(layers=1, units=1, images=1, size=32, plain=True)
    record = replace(atlas.layers[0].renderings[0], status=status)
    source = Source(
        channel=record.unit.channel,
        renderings=((record, SyntheticPictures(atlas).rendering(record.unit, record.recipe)),),
        images=(0,) * squares,
        boxes=((0, 0, 8, 8),) * squares,
        squares=(np.zeros((32, 32, 3), np.uint8),) * squares,
    )
    drawing = draw_unit(source, recipes=atlas.recipes, shown=(), size=32)
    assert len(drawing.pair) == pairs
