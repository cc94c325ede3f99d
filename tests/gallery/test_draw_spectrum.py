"""The spectrum of a unit drawn: which images, which parts of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from atlas.gallery.draw_spectrum import SpectrumSource
from atlas.gallery.views import Shot, StripImage, StripView
from atlas.ranking.ranking import patch_boxes
from atlas.records.atlas import LayerAtlas, ModelAtlas
from tests.synthetic import make_atlas


def whole(image: int) -> Shot:
    return Shot(file=f"../images/{image}.jpg", height=64, width=64)


def small(**given: Any) -> ModelAtlas:
    return make_atlas(**{"layers": 1, "units": 3, "images": 40, "size": 32, "plain": True, **given})


def changed(atlas: ModelAtlas, change: Callable[[LayerAtlas], LayerAtlas]) -> ModelAtlas:
    return replace(atlas, layers=(change(atlas.layers[0]),))


def drawn(atlas: ModelAtlas, channel: int = 0) -> tuple[StripView, ...]:
    return SpectrumSource.read(atlas, atlas.layers[0], whole).draw(channel)


def images_of(strips: tuple[StripView, ...]) -> list[StripImage]:
    return [image for strip in strips for image in strip.images]


def test_an_image_shows_its_peak_and_the_part_around_it() -> None:
    atlas = small()
    layer = atlas.layers[0]
    for image in images_of(drawn(atlas, 2)):
        peak = float(layer.stats.peaks[image.image, 2]) * float(layer.stats.scale[2])
        place = layer.stats.places[image.image, 2].astype(int)
        assert image.peak == peak
        assert image.box == tuple(patch_boxes(layer.info, 224, place))
        assert image.name == atlas.samples.samples[image.image].name
        assert image.whole.file == f"../images/{image.image}.jpg"
        assert image.view.split() == [str(side) for side in view_of(image.box)]


def view_of(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of a box."""
    return box[1], box[0], box[3] - box[1], box[2] - box[0]


@pytest.mark.parametrize("layout", ["NCHW@?", "NLC+1@?"])
def test_a_layer_whose_maps_have_no_places_shows_whole_images(layout: str) -> None:
    atlas = changed(small(), lambda one: replace(one, info=replace(one.info, layout=layout)))
    assert {image.box for image in images_of(drawn(atlas))} == {(0, 0, 224, 224)}


def test_a_cache_without_places_shows_whole_images() -> None:
    def forget(layer: LayerAtlas) -> LayerAtlas:
        return replace(layer, stats=replace(layer.stats, places=layer.stats.places[:0]))

    assert {image.box for image in images_of(drawn(changed(small(), forget)))} == {(0, 0, 224, 224)}


def test_boxes_of_an_input_that_is_no_square_stay_inside_it() -> None:
    atlas = small()
    atlas = replace(atlas, model=replace(atlas.model, input_shape=(96, 224)))
    boxes = np.array([image.box for image in images_of(drawn(atlas))])
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= (96, 224)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_a_channel_that_is_not_finite_has_no_spectrum() -> None:
    def spoil(layer: LayerAtlas) -> LayerAtlas:
        finite = np.arange(layer.info.channels) != 1
        return replace(layer, stats=replace(layer.stats, finite=finite))

    atlas = changed(small(), spoil)
    assert drawn(atlas, 1) == ()
    assert drawn(atlas, 0)


def test_classes_have_none() -> None:
    atlas = small(classes=2, channels=12)
    assert atlas.classes
    assert SpectrumSource.read(atlas, atlas.classes, whole).draw(0) == ()


def test_crops_of_one_photograph_are_one_file() -> None:
    atlas = small()
    samples = [replace(one, sha256=f"{one.index % 3}") for one in atlas.samples.samples]
    atlas = replace(atlas, samples=replace(atlas.samples, samples=tuple(samples)))
    for strip in drawn(atlas):
        files = [image.image % 3 for image in strip.images]
        assert len(set(files)) == len(files)


def test_rows_of_very_many_images_are_their_own() -> None:
    """Of 40 images every second one is kept: row r of the matrices is image 2r."""

    def keep_half(layer: LayerAtlas) -> LayerAtlas:
        stats = layer.stats
        half = {"peaks": stats.peaks[::2], "places": stats.places[::2]}
        return replace(layer, stats=replace(stats, rows=stats.rows[::2], **half))

    atlas = small()
    half = images_of(drawn(changed(atlas, keep_half)))
    assert {image.image % 2 for image in half} == {0}
    peaks = atlas.layers[0].stats.peaks_over_rows(0)
    assert [image.peak for image in half] == [float(peaks[image.image]) for image in half]


@pytest.mark.parametrize("images", [1, 2, 3])
def test_few_images_give_few_strips_and_each_image_once(images: int) -> None:
    strips = drawn(small(images=images))
    assert sorted(image.image for image in images_of(strips)) == list(range(images))
    assert len(strips) == images
