"""Values that the pages show of a layer."""

from dataclasses import replace
from math import isnan
from pathlib import Path

from atlas.gallery.pages.frame import TEMPLATES
from atlas.gallery.views import LayerView, Picture, Shot, UnitView
from atlas.records.atlas import LayerAtlas
from tests.synthetic import make_atlas

LAYER: LayerAtlas = make_atlas(layers=1, units=6, images=3, plain=True).layers[0]


def unit(channel: int, status: str, pictured: bool = True) -> UnitView:
    """A unit of the layer whose rendering has a status; `unrendered` has none."""
    shot = Shot(file=f"img/{channel}.t.jpg", height=112, width=112) if pictured else None
    record = replace(LAYER.renderings[0], status=status)  # type: ignore[arg-type]
    picture = Picture(rendering=record, image=shot, thumb=shot, snapshots=())
    return UnitView(
        layer="a",
        channel=channel,
        rank=channel + 1,
        label="",
        class_name="",
        mean=0,
        std=1,
        max=1,
        p99=1,
        contrast=1,
        active=1,
        natural_mean=0,
        natural_max=1,
        pictures=() if status == "unrendered" else (picture,),
        examples=(),
        neighbours=(),
        page=f"{channel}.html",
    )


def layer(*units: UnitView) -> LayerView:
    return LayerView(atlas=LAYER, folder="a", units=units)


def test_teasers_are_the_best_ranked_pictures_that_can_be_trusted() -> None:
    units = [unit(0, "dead"), unit(1, "ok"), unit(2, "weak"), *(unit(at, "ok") for at in (3, 4, 5))]
    assert [found.channel for found in layer(*units).teasers] == [1, 3, 4, 5]


def test_weak_pictures_fill_up_where_good_ones_are_few() -> None:
    units = [unit(0, "weak"), unit(1, "ok"), unit(2, "unrendered"), unit(3, "failed", False)]
    assert [found.channel for found in layer(*units).teasers] == [1, 0]


def test_units_without_rendering_are_not_counted_as_rendered() -> None:
    assert layer(unit(0, "ok"), unit(1, "unrendered")).rendered == 1


def test_a_layer_without_renderings_has_no_median() -> None:
    assert isnan(layer(unit(0, "unrendered")).median_reach)


def test_the_templates_are_where_the_gallery_looks() -> None:
    assert Path(TEMPLATES / "base.html").is_file()
