"""A figure as pixels and as files: every picture at its place, equal bytes, one page at most."""

import io
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from atlas.errors import InputError, UsageError
from atlas.gallery import figure, lettering
from atlas.gallery.figure import WIDTH, draw_figure, encode_figure
from atlas.gallery.lettering import Style, break_lines, shorten, width_of
from atlas.images.pixels import Pixels, fit, to_pixels
from atlas.records.atlas import ModelAtlas
from atlas.records.units import Unit
from tests.gallery.test_write import small
from tests.synthetic import SyntheticPictures, judged

pytestmark = pytest.mark.skipif(
    not hasattr(cv2, "FontFace"), reason="needs the letters of OpenCV 5"
)
STYLE = Style(size=26)
BOTH = ("octaves", "company")


def units_of(atlas: ModelAtlas, count: int) -> dict[Unit, str]:
    """The first units of an atlas, without labels."""
    names = [
        Unit(layer=layer.info.name, channel=channel)
        for layer in atlas.layers
        for channel in layer.chosen
    ]
    return dict.fromkeys(names[:count], "")


def drawn(atlas: ModelAtlas, units: dict[Unit, str]) -> Pixels:
    return draw_figure(atlas, SyntheticPictures(atlas, side=64), units)


def difference(sheet: Pixels, pixels: Pixels, left: int, top: int) -> float:
    """How far a part of a sheet is from a picture, on average."""
    height, width = pixels.shape[:2]
    part = sheet[top : top + height, left : left + width].astype(int)
    return float(np.abs(part - pixels).mean())


def test_the_pictures_of_a_unit_stand_side_by_side_and_its_patches_beside_them() -> None:
    atlas = small(plain=True, recipes=BOTH)
    (unit,) = units = units_of(atlas, 1)
    pictures = SyntheticPictures(atlas, side=64)
    sheet = draw_figure(atlas, pictures, units)
    side = (WIDTH - 2 * 36 - 2 * 8) // 3  # two pictures and the patches, 8 px between them
    top = 36 + 53 + 8  # the edge, and the line of the name
    for place, recipe in enumerate(BOTH):
        expected = fit(to_pixels(pictures.rendering(unit, recipe).image), side, side)
        assert difference(sheet, expected, 36 + place * (side + 8), top) == 0
    patches = sheet[top : top + side, 36 + 2 * (side + 8) : 36 + 3 * side + 16]
    assert patches.std() > 20


def test_two_units_stand_abreast_and_a_third_below() -> None:
    atlas = small(plain=True, recipes=BOTH)
    one, two, three = (drawn(atlas, units_of(atlas, count)) for count in (1, 2, 3))
    assert one.shape[1] == two.shape[1] == three.shape[1] == WIDTH
    assert three.shape[0] > two.shape[0] + 300
    (first,) = units_of(atlas, 1)
    side = ((WIDTH - 2 * 36 - 60) // 2 - 2 * 8) // 3
    pixels = to_pixels(SyntheticPictures(atlas, side=64).rendering(first, "octaves").image)
    assert difference(two, fit(pixels, side, side), 36, 36 + 53 + 8) == 0


def test_many_recipes_take_several_rows() -> None:
    recipes = ("octaves", *(f"octaves-facet-{number}" for number in range(1, 7)))
    atlas = small(plain=True, recipes=recipes)
    assert drawn(atlas, units_of(atlas, 2)).shape[0] > 2 * 200


def test_too_many_units_say_how_many_fit() -> None:
    atlas = small(plain=True, units=8, recipes=BOTH)
    with pytest.raises(UsageError, match=r"^24 units do not fit on one sheet, (\d+) do") as caught:
        drawn(atlas, units_of(atlas, 24))
    fit_ = int(re.findall(r"(\d+) do;", str(caught.value))[0])
    assert drawn(atlas, units_of(atlas, fit_)).shape[0] <= 3035
    with pytest.raises(UsageError):
        drawn(atlas, units_of(atlas, fit_ + 1))


def test_a_long_label_stays_inside_its_block() -> None:
    atlas = small(plain=True)
    first, second = units_of(atlas, 2)
    labelled = drawn(atlas, {first: "眼睛 spirals " * 40, second: ""})
    bare = drawn(atlas, {first: "", second: ""})
    half = 36 + (WIDTH - 2 * 36 - 60) // 2
    assert (labelled[:, half:] == bare[:, half:]).all()
    assert not (labelled == bare).all()


def test_captions_name_recipe_status_reach_and_ident(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(figure, "write_lines", lambda _, lines, *rest: said.extend(lines))
    atlas = judged(small(plain=True))
    layer = atlas.layers[0]
    (unit,) = units_of(atlas, 1)
    drawn(atlas, {unit: "eyes"})
    assert f"conv_stem:{unit.channel} “eyes”" in said
    assert layer.evidence
    place = layer.evidence.pictures["octaves"][unit.channel].ident
    assert f"IDENT {place} of {layer.evidence.live}" in said
    text = " ".join(said)
    for part in ("octaves", "ok · REACH", "real patches", "5a" * 32, "seed 0", "0101010101"):
        assert part in text


# --- files ---------------------------------------------------------------------------------------


def test_equal_sheets_give_equal_bytes_at_300_dpi() -> None:
    atlas = small(plain=True)
    for suffix in (".png", ".pdf"):
        first, second = (
            encode_figure(drawn(atlas, units_of(atlas, 2)), suffix, atlas) for _ in range(2)
        )
        assert first == second
    sheet = drawn(atlas, units_of(atlas, 1))
    image = Image.open(io.BytesIO(encode_figure(sheet, ".png", atlas)))
    assert (np.asarray(image) == sheet).all()
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert "weights SHA-256 5a5a" in image.info["Description"]


def test_a_pdf_is_one_page_of_the_size_of_its_sheet_with_its_provenance() -> None:
    atlas = small(plain=True)
    sheet = drawn(atlas, units_of(atlas, 1))
    data = encode_figure(sheet, ".pdf", atlas)
    assert data.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", data)) == 1
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    width, height = (72 * size / 300 for size in (sheet.shape[1], sheet.shape[0]))
    assert (float(box[0]), float(box[1])) == pytest.approx((width, height), abs=0.1)
    year = atlas.run.created[:4].encode()
    assert b"/CreationDate (D:" + year in data
    assert "SHA-256 5a5a".encode("utf-16-be") in data or b"SHA-256 5a5a" in data


# --- letters -------------------------------------------------------------------------------------


def test_lines_break_at_spaces_and_long_words_anywhere() -> None:
    text = "one two three " + "x" * 60
    lines = break_lines(text, 200, STYLE)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width_of(line, STYLE) <= 200 for line in lines)
    assert lines[0].startswith("one two")
    assert break_lines("", 200, STYLE) == [""]


def test_what_does_not_fit_ends_in_dots() -> None:
    assert shorten("eyes", 500, STYLE) == "eyes"
    short = shorten("spiral eyes " * 9, 200, STYLE)
    assert short.endswith("…")
    assert width_of(short, STYLE) <= 200


def test_an_older_opencv_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(lettering.cv2, "FontFace")
    atlas = small(plain=True)
    with pytest.raises(InputError, match="OpenCV 5"):
        drawn(atlas, units_of(atlas, 1))


def test_a_failed_rendering_leaves_its_place_out() -> None:
    atlas = small(layers=1, plain=True, recipes=BOTH)
    (layer,) = atlas.layers
    (unit,) = units_of(atlas, 1)
    broken = tuple(
        replace(one, status="failed") if one.unit == unit and one.recipe == "company" else one
        for one in layer.renderings
    )
    atlas = replace(atlas, layers=(replace(layer, renderings=broken),))
    assert drawn(atlas, {unit: ""}).shape[1] == WIDTH
