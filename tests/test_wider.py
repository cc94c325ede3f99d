"""Whole atlases of networks whose input is no square, or no picture of three colours."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas import pipeline
from atlas.cache.store import Store
from atlas.config import Config
from atlas.errors import InputError, UsageError
from atlas.images.bands import COLOUR, Bands
from atlas.images.load import Loaded, find_images, load
from atlas.images.squares import centre_box, cut
from atlas.progress import Progress
from atlas.ranking.ranking import patch_boxes
from atlas.records.samples import CentralCrop
from atlas.rendering.parameterization import from_image, spectrum_scale, to_image, upscale
from atlas.rendering.recipes import RECIPES
from atlas.rendering.scoring import high_frequency
from atlas.rendering.transforms import affine, apply_geometry
from tests.helpers import layer_info

SHAPE = (32, 16)


class Spot(nn.Module):
    """One channel: how bright red is, nothing but the lower right corner of 32 × 16 counting."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 2, 1, bias=False)
        self.relu = nn.ReLU()
        weights = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1)
        self.look.weight.data.copy_(weights)
        place = torch.zeros(1, 1, *SHAPE)
        place[..., -1, -1] = 1
        self.register_buffer("place", place)

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self.relu(self.look(images * self.place + 0 * images))
        return seen


def spot() -> nn.Module:
    """A network of one size, which 16 × 32 would not fit."""
    return Spot()


def tall() -> nn.Module:
    """Red, green and blue by themselves, and five classes."""
    first = nn.Conv2d(3, 3, 1, bias=False)
    first.weight.data.copy_(torch.eye(3).view(3, 3, 1, 1))
    last = nn.Linear(3, 3, bias=False)
    last.weight.data.copy_(torch.eye(3))
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def five() -> nn.Module:
    """Channel k of the first layer is channel k of the picture; so is class k."""
    first = nn.Conv2d(5, 5, 1, bias=False)
    first.weight.data.copy_(torch.eye(5).view(5, 5, 1, 1))
    last = nn.Linear(5, 5, bias=False)
    last.weight.data.copy_(torch.eye(5))
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def two() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())


@pytest.fixture
def spectra(tmp_path: Path) -> Path:
    """Six pictures of five channels, 40 × 30, as .npy and as TIFF, of reflectances up to 10,000."""
    folder = tmp_path / "spectra"
    folder.mkdir()
    for index, picture in enumerate(five_channels()):
        if index % 2:
            np.save(folder / f"{index}.npy", picture.transpose(2, 0, 1))
        else:
            planar = {"photometric": "minisblack", "planarconfig": "contig"}
            tifffile.imwrite(folder / f"{index}.tif", picture, **planar)
    return folder


def five_channels() -> list[NDArray[np.uint16]]:
    rng = np.random.default_rng(3)
    coarse = [cv2.resize(rng.random((4, 3, 5)), (30, 40)) for _ in range(6)]
    return [(10_000 * picture).astype(np.uint16) for picture in coarse]


def settings(tmp_path: Path, images: Path, **changes: object) -> Config:
    usual: dict[str, object] = {
        "images": str(images),
        "layers": ("all",),
        "units": 1,
        "classes": 1,
        "lenses": 1,
        "size": 32,
        "cache": tmp_path / "cache",
        "site": tmp_path / "site",
        "quiet": True,
    }
    return Config(**{**usual, **changes})  # type: ignore[arg-type]


def build(config: Config) -> Path:
    """Build an atlas and check it; returns the folder of its one model."""
    assert pipeline.build(config, Progress(True)) == 0
    assert pipeline.check(config, Progress(True)) == 0
    (folder,) = (path.parent for path in config.site.glob("*/model.json"))
    return folder


def tall_config(tmp_path: Path, photographs: Path, **changes: object) -> Config:
    plain = {"model": "tests.test_wider:tall", "input_size": SHAPE, "mean": (0.0,), "std": (1.0,)}
    return settings(tmp_path, photographs, **{**plain, **changes})


def five_config(tmp_path: Path, spectra: Path, **changes: object) -> Config:
    plain = {"model": "tests.test_wider:five", "input_size": 16, "white": 10_000.0}
    return settings(tmp_path, spectra, **{**plain, **changes})


def size_of(path: Path) -> tuple[int, int]:
    height, width = cv2.imread(str(path)).shape[:2]
    return height, width


# --- what is no square --------------------------------------------------------------------------


def test_every_picture_of_a_tall_network_has_its_proportion(
    tmp_path: Path, photographs: Path
) -> None:
    folder = build(tall_config(tmp_path, photographs, snapshots=True))
    model = json.loads((folder / "model.json").read_text())
    assert (model["input_size"], model["input_shape"]) == (32, [32, 16])
    unit = json.loads((folder / "0" / "layer.json").read_text())["units"][0]
    assert size_of(folder / "0" / unit["image"]) == (32, 16)
    assert size_of(folder / "0" / unit["examples"][0]["image"]) == (48, 24)
    lens = json.loads(next((folder / "images").glob("*.json")).read_text())
    for what in ("saliency", "smoothgrad", "fooling"):
        assert size_of(folder / "images" / lens[what]["image"]) == (32, 16)
    page = (folder / "0" / f"{unit['channel']}.html").read_text()
    assert 'viewBox="0 0 16 32"' in page
    assert 'data-size="16 32"' in page


def test_cache_and_export_hold_tall_pictures(tmp_path: Path, photographs: Path) -> None:
    config = tall_config(tmp_path, photographs, size=64, lenses=1)
    build(config)
    out = tmp_path / "tall.h5"
    pipeline.export(
        Config(model=config.model, cache=config.cache, out=str(out), quiet=True), Progress(True)
    )
    with h5py.File(out) as file:
        assert file["layers/0/units/image"].shape == (1, 64, 32, 3)
        (lens,) = file["lenses"].values()
        assert lens["saliency"].shape == SHAPE


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_renders_tall_pictures(
    tmp_path: Path, photographs: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas.stages.recipes.COMPANY_MINIMUM", 1)
    monkeypatch.setattr("atlas.stages.choose.COMPANY_MINIMUM", 1)
    config = tall_config(tmp_path, photographs, recipe=(recipe,), layers=("0",), facets=1)
    build(config)
    with Store.read(only_key(config)) as store:
        assert store.index.units
        for mark, unit in store.index.units:
            height, width = store.rendering(unit, mark).image.shape[1:]
            assert height == 2 * width


def only_key(config: Config) -> Path:
    (folder,) = (path.parent for path in config.cache.glob("*/*/key.json"))
    return folder


def test_patch_lies_where_the_unit_looks(tmp_path: Path, photographs: Path) -> None:
    """The lower right corner of 32 × 16; sides are the seventh of the input's, 5 and 2."""
    config = settings(
        tmp_path,
        photographs,
        model="tests.test_wider:spot",
        input_size=SHAPE,
        mean=(0.0,),
        std=(1.0,),
        layers=("relu",),
        classes=0,
        lenses=0,
    )
    folder = build(config)
    (unit,) = json.loads((folder / "relu" / "layer.json").read_text())["units"]
    assert {tuple(example["box"]) for example in unit["examples"]} == {(27, 14, 32, 16)}
    shown = cv2.imread(str(folder / "relu" / unit["examples"][0]["patch"]))
    assert shown.shape[:2] == (112, 45)  # 5 : 2, the longer side 112


def test_patch_of_a_wide_view_is_half_of_each_side() -> None:
    layer = layer_info("deep", 1, 4, receptive_field=500)
    box = patch_boxes(layer, (128, 64), np.array([15], np.int32))  # lower right of 4 × 4
    assert box.tolist() == [[64, 32, 128, 64]]


@pytest.mark.parametrize(
    ("picture", "share", "wanted"),
    [
        ((200, 300), 1.0, (0, 100, 200, 200)),  # 200 × 100 from the middle
        ((300, 100), 1.0, (50, 0, 250, 100)),
        ((200, 300), 0.5, (50, 125, 150, 175)),
        ((128, 64), 1.0, (0, 0, 128, 64)),
    ],
)
def test_largest_central_rectangle_is_cut_out(
    picture: tuple[int, int], share: float, wanted: tuple[int, int, int, int]
) -> None:
    crop = CentralCrop(share=share, prepared=True)
    assert centre_box(*picture, crop, (128, 64)) == wanted


def test_picture_of_exactly_the_input_passes_untouched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    piece = cut(picture, "centre", CentralCrop(share=1, prepared=True), SHAPE, (48, 24))
    np.testing.assert_array_equal(piece.pixels, picture)


def test_square_of_a_photograph_is_not_squashed() -> None:
    picture = np.zeros((60, 60, 3), np.uint8)
    piece = cut(picture, (10, 10, 50, 50), CentralCrop(share=1), SHAPE, (48, 24))
    assert piece.box == (10, 20, 50, 40)


def test_turn_of_a_tall_picture_does_not_shear() -> None:
    """A dot 6 px right of the middle comes to lie 6 px above or below it by a quarter turn."""
    picture = torch.zeros(1, 1, 41, 21)
    picture[0, 0, 20, 16] = 1
    turn = affine(torch.tensor(1.0), torch.tensor(torch.pi / 2), torch.zeros(2))
    turned = apply_geometry(picture, turn[None])[0, 0]
    assert float(turned[14, 10]) == pytest.approx(1, abs=1e-3)


def waves(height: int, width: int, down: int, across: int) -> NDArray[np.float32]:
    """A wave of so many cycles along each axis, (1, 3, height, width), between .3 and .7."""
    rows, columns = np.mgrid[0:height, 0:width]
    phase = 2 * np.pi * (down * rows / height + across * columns / width)
    return np.tile(0.5 + 0.2 * np.cos(phase), (1, 3, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("planes", [1, 2, 3, 5])
def test_spectrum_of_any_shape_gives_its_picture_back(planes: int) -> None:
    picture = torch.rand(2, planes, 16, 8, generator=torch.Generator().manual_seed(1))
    picture = 0.1 + 0.8 * picture
    scale = spectrum_scale((16, 8), 1.2)
    again = to_image(from_image(picture, scale, 4.0), scale, 4.0)
    torch.testing.assert_close(again, picture, atol=1e-4, rtol=0)


def test_finer_grid_shows_the_same_wave_in_both_directions() -> None:
    coarse = torch.from_numpy(waves(16, 8, 3, 1))
    spectrum = from_image(coarse, spectrum_scale((16, 8), 1.2), 4.0)
    finer = upscale(spectrum, (64, 32), 1.2)
    shown = to_image(finer, spectrum_scale((64, 32), 1.2), 4.0)[:, :, ::4, ::4]
    torch.testing.assert_close(shown, coarse, atol=2e-2, rtol=0)


@pytest.mark.parametrize(("down", "across", "high"), [(4, 2, 0), (20, 0, 1), (0, 10, 1)])
def test_fine_waves_count_along_both_sides(down: int, across: int, high: float) -> None:
    """On 64 × 32: .06 cycles a pixel are coarse, .31 along either axis are fine."""
    picture = (255 * waves(64, 32, down, across)).transpose(0, 2, 3, 1).astype(np.uint8)
    assert high_frequency(picture)[0] == pytest.approx(high, abs=0.02)


# --- other channels -----------------------------------------------------------------------------


def test_means_of_five_channels_are_those_of_the_files(tmp_path: Path, spectra: Path) -> None:
    """The network's activations are the pictures themselves, 10,000 counting as 1."""
    folder = build(five_config(tmp_path, spectra, layers=("0",), units=5))
    layer = json.loads((folder / "0" / "layer.json").read_text())
    wanted = np.mean([crop_of(one).mean((0, 1)) for one in five_channels()], 0) / 10_000
    np.testing.assert_allclose(layer["mean"], wanted, atol=1e-4)


def crop_of(picture: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """The central square of 40 × 30."""
    return picture[5:35]


def test_lens_sees_all_channels_not_the_picture_of_three(tmp_path: Path, spectra: Path) -> None:
    """Class 4 is channel 4, which no page shows."""
    config = five_config(tmp_path, spectra, lenses=6)
    folder = build(config)
    for page in (folder / "images").glob("*.json"):
        lens = json.loads(page.read_text())
        picture = five_channels()[int(Path(lens["name"]).stem)]
        scores = crop_of(picture).mean((0, 1)) / 10_000
        likely = np.exp(scores) / np.exp(scores).sum()
        for guess in lens["predictions"]:
            assert guess["probability"] == pytest.approx(likely[guess["index"]], abs=1e-4)


def test_views_show_the_channels_asked_for_and_change_with_them(
    tmp_path: Path, spectra: Path
) -> None:
    config = five_config(tmp_path, spectra, layers=("0",), lenses=1)
    for channels in ((), (5, 4, 1), (2,)):
        folder = build(replace(config, show_channels=channels))
        model = json.loads((folder / "model.json").read_text())
        assert model["channels"] == 5
        chosen = channels or (1, 2, 3)
        assert model["show_channels"] == list(chosen)
        lens = json.loads(next((folder / "images").glob("*.json")).read_text())
        picture = crop_of(five_channels()[int(Path(lens["name"]).stem)])
        shown = cv2.imread(str(folder / "images" / lens["image"]))[..., ::-1]
        wanted = picture.mean((0, 1))[[one - 1 for one in chosen]] / 10_000 * 255
        np.testing.assert_allclose(shown.mean((0, 1)), np.resize(wanted, 3), atol=2)


def test_cache_holds_all_channels_of_a_rendering(tmp_path: Path, spectra: Path) -> None:
    config = five_config(tmp_path, spectra, layers=("0",), snapshots=True, negative=True, facets=1)
    build(config)
    with Store.read(only_key(config)) as store:
        for mark, unit in store.index.units:
            rendering = store.rendering(unit, mark)
            assert rendering.image.shape == (5, 32, 32)
            assert rendering.snapshots.shape == (3, 5, 112, 112) or not rendering.snapshots.size


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "company"])
def test_every_recipe_renders_five_channels(tmp_path: Path, spectra: Path, recipe: str) -> None:
    config = five_config(tmp_path, spectra, recipe=(recipe,), layers=("0",), lenses=0)
    build(config)
    with Store.read(only_key(config)) as store:
        shapes = [store.rendering(unit, mark).image.shape[0] for mark, unit in store.index.units]
    assert {*shapes} == {5}


def test_network_of_two_channels_is_shown_in_grey(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        np.save(folder / f"{index}.npy", rng.random((16, 16, 2)).astype(np.float32))
    config = settings(
        tmp_path, folder, model="tests.test_wider:two", input_size=16, layers=("1",), lenses=0
    )
    model = json.loads((build(config) / "model.json").read_text())
    assert (model["channels"], model["show_channels"]) == (2, [1])


def test_files_of_another_number_of_channels_are_skipped_with_both(
    tmp_path: Path, spectra: Path
) -> None:
    np.save(spectra / "four.npy", np.zeros((20, 20, 4), np.uint8))
    cv2.imwrite(str(spectra / "three.tif"), np.zeros((20, 20, 3), np.uint8))
    folder = build(five_config(tmp_path, spectra, layers=("0",), lenses=0))
    skipped = json.loads((folder / "model.json").read_text())["skipped"]
    assert {one["name"]: one["reason"] for one in skipped} == {
        "four.npy": "has shape (20, 20, 4); expected is (H, W, C) or (C, H, W) with C = 5 channels",
        "three.tif": "has 3 channel(s) on 1 page(s); the network takes 5 channels",
    }


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"images": "sample"}, InputError, "takes 5 channels, photographs have 3"),
        ({"show_channels": (6, 1, 2)}, UsageError, "--show-channels must be from 1 to 5, got 6"),
        ({"mean": (0.0, 0.0)}, UsageError, "--mean has 2 numbers, the network 5 channel(s)"),
    ],
)
def test_what_five_channels_cannot_do_is_one_line(
    tmp_path: Path, spectra: Path, changes: dict[str, object], error: type[Exception], says: str
) -> None:
    config = five_config(tmp_path, spectra)
    with pytest.raises(error, match=re.escape(says)):
        pipeline.rank(replace(config, **changes), Progress(True))


def test_colours_have_no_channels_to_choose(tmp_path: Path, photographs: Path) -> None:
    with pytest.raises(UsageError, match="other channels than 1 and 3"):
        pipeline.rank(tall_config(tmp_path, photographs, show_channels=(1, 2, 3)), Progress(True))


def test_arrays_beside_photographs_are_left_alone(photographs: Path) -> None:
    np.save(photographs / "mask.npy", np.zeros((48, 48), np.uint8))
    assert [item.name for item in find_images(str(photographs)).items if "npy" in item.name] == []


def test_arrays_alone_are_pictures_for_colour_networks(tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", np.full((16, 16), 0.2))
    (loaded,) = load(find_images(str(tmp_path)), 16, 16, workers=0)
    assert isinstance(loaded, Loaded)
    assert (loaded.pixels == 51).all()


def test_white_is_another_image_set(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((16, 16), np.uint16))
    plain = find_images(str(tmp_path))
    assert plain.bands == COLOUR
    assert replace(plain, bands=Bands(white=10_000)).sha256 != plain.sha256
    assert replace(plain, bands=Bands(channels=5, shown=(0, 1, 2))).sha256 == plain.sha256
