"""One file for everybody: plain h5py reads it, and no failure leaves half of it."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from atlas.cache import export, export_contents
from atlas.cache.export import write_export
from atlas.errors import CacheError
from atlas.files.names import unescape_name
from atlas.images.pixels import fit, to_pixels
from atlas.records.atlas import ModelAtlas
from atlas.records.evidence import NOWHERE
from atlas.records.statistics import LayerStats
from atlas.records.units import Rendering, Unit
from tests.synthetic import SyntheticPictures, judged, make_atlas

SIZE = 16
DOCS = Path(__file__).parents[2] / "docs" / "data.md"

NOT_OURS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("atlas", "torch"):
            raise ImportError(f"{name} is not needed to read an export")
sys.meta_path.insert(0, Refuse())
"""
"""Makes sure that a program reads the file without this package."""

READ_ALL = """
import json, h5py

def value(array):
    return array.astype("U").tolist() if array.dtype.kind in "SO" else array.tolist()

found = {}
def note(name, item):
    attributes = {key: getattr(one, "tolist", lambda: one)() for key, one in item.attrs.items()}
    attributes = {key: str(one, "ascii") if isinstance(one, bytes) else one
                  for key, one in attributes.items()}
    found[name] = {"attrs": attributes}
    if isinstance(item, h5py.Dataset):
        text = h5py.check_string_dtype(item.dtype)
        array = item.asstr()[...] if text else item[...]
        kind = text.encoding if text else item.dtype.str
        found[name] |= {"dtype": kind, "shape": item.shape, "value": value(array),
                        "checked": item.fletcher32, "compression": item.compression}
with h5py.File("atlas.h5") as file:
    note("/", file)
    file.visititems(note)
print(json.dumps(found))
"""


def small(**changes: object) -> ModelAtlas:
    """An atlas of three layers by four units; layer 1 has one that is not rendered."""
    settings: dict[str, object] = {"layers": 3, "units": 4, "size": SIZE, "images": 12}
    return make_atlas(**{**settings, **changes})  # type: ignore[arg-type]


def written(folder: Path, atlas: ModelAtlas) -> Path:
    """The export of a synthetic atlas."""
    path = folder / "atlas.h5"
    write_export(path, atlas, SyntheticPictures(atlas), "1.2.3")
    return path


def read_elsewhere(folder: Path, program: str = READ_ALL) -> str:
    """Return the output of a program that can import h5py but not this package."""
    command = [sys.executable, "-c", NOT_OURS + program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def drawn(atlas: ModelAtlas, unit: Unit, recipe: str) -> np.ndarray:
    """The 8-bit picture of a unit by a formula of its own: round(255·x), channels last."""
    image = SyntheticPictures(atlas).rendering(unit, recipe).image.astype(np.float64)
    return np.floor(image.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


def same_numbers(got: list, want: list) -> bool:
    """Return whether two lists of numbers are equal in 32 bits, NaN equal to NaN."""
    return np.array_equal(np.array(got, np.float32), np.array(want, np.float32), equal_nan=True)


# --- what is in it -------------------------------------------------------------------------------


def test_plain_h5py_reads_every_number_of_the_records(tmp_path):
    atlas = small(recipes=("octaves", "company"))
    written(tmp_path, atlas)
    found = json.loads(read_elsewhere(tmp_path))
    for layer in atlas.layers:
        place, stats = f"layers/{layer.info.name}", layer.stats
        for name in ("mean", "std", "max", "p99"):
            assert found[f"{place}/{name}"]["dtype"] == "<f4"
            assert same_numbers(found[f"{place}/{name}"]["value"], getattr(stats, name).tolist())
        assert found[f"{place}/ranking"]["value"] == layer.ranking.tolist()
        chosen = list(layer.chosen)
        examples = {
            "image_index": ("<i4", stats.example_image),
            "activation": ("<f4", stats.example_activation),
            "box": ("<i4", stats.example_box),
        }
        for name, (dtype, array) in examples.items():
            got = found[f"{place}/examples/{name}"]
            assert got["dtype"] == dtype
            assert got["value"] == [array[channel].tolist() for channel in chosen]
        for recipe, group in (("octaves", "units"), ("company", "recipes/company")):
            assert_units(found, f"{place}/{group}", atlas, layer, recipe)
    samples = atlas.samples.samples
    assert found["images/path"]["value"] == [sample.name for sample in samples]
    assert found["images/sha256"]["value"] == [sample.sha256 for sample in samples]


def test_matrices_give_back_every_answer_of_every_channel(tmp_path):
    atlas = small()
    rows = np.array([1, 4, 7], np.int32)

    def thinned(stats: LayerStats) -> LayerStats:
        return replace(stats, rows=rows, peaks=stats.peaks[rows], places=stats.places[rows])

    layers = [replace(layer, stats=thinned(layer.stats)) for layer in atlas.layers]
    with h5py.File(written(tmp_path, replace(atlas, layers=tuple(layers)))) as file:
        assert file["images/rows"][...].tolist() == [1, 4, 7]
        assert "judging" in file["images"]
        for layer in layers:
            group, stats = file[f"layers/{layer.info.name}"], layer.stats
            means = group["activations"][...].astype(np.float32) * group["scale"][...]
            wanted = [[stats.over_images(channel)[row] for channel in range(8)] for row in rows]
            assert same_numbers(means.tolist(), wanted)
            peaks = group["peaks"][...].astype(np.float32) * group["scale"][...]
            assert same_numbers(peaks[:, 3].tolist(), stats.peaks_over_rows(3).tolist())
            assert np.array_equal(group["places"][...], stats.places)
            natural = file[f"natural/layers/{layer.info.name}"]
            assert natural["activations"].shape == (12, 8)


def test_a_layer_without_places_has_its_means_and_peaks(tmp_path):
    atlas = small()
    first = atlas.layers[0]
    first = replace(first, stats=replace(first.stats, places=np.zeros((0, 8), np.uint8)))
    with h5py.File(written(tmp_path, replace(atlas, layers=(first,)))) as file:
        assert "places" not in file["layers/conv_stem"]
        assert file["layers/conv_stem/peaks"].shape == (12, 8)


def assert_units(found, place, atlas, layer, recipe):
    """The columns of one recipe are those of its renderings, in order of rank."""
    columns = {name: found[f"{place}/{name}"] for name in ("channel", "image", "status", "seed")}
    assert columns["channel"]["value"] == list(layer.chosen)
    assert [columns[name]["dtype"] for name in columns] == ["<i4", "|u1", "utf-8", "<i8"]
    assert columns["image"]["shape"] == [len(layer.chosen), SIZE, SIZE, 3]
    made = {one.unit.channel: one for one in layer.renderings if one.recipe == recipe}
    for row, channel in enumerate(layer.chosen):
        one = made.get(channel)
        scores = [
            found[f"{place}/{name}"]["value"][row]
            for name in ("activation", "reach", "select", "robust", "hf", "seconds")
        ]
        picture = np.array(columns["image"]["value"][row])
        if one is None:
            assert columns["status"]["value"][row] == "unrendered"
            assert columns["seed"]["value"][row] == -1
            assert np.isnan(scores).all()
            assert not picture.any()
        else:
            kept = one.scores
            want = [kept.activation, kept.reach, kept.select, kept.robust, kept.hf, one.seconds]
            assert columns["status"]["value"][row] == one.status
            assert columns["seed"]["value"][row] == one.seed
            assert same_numbers(scores, want)
            assert np.array_equal(picture, drawn(atlas, one.unit, recipe))


def test_the_small_atlas_has_units_that_were_not_rendered():
    """Else nothing above would look at one."""
    layers = small(recipes=("octaves", "company")).layers
    assert any(len(layer.renderings) < 2 * len(layer.chosen) for layer in layers)


@pytest.mark.parametrize("judges", [True, False])
def test_places_of_the_observer_are_columns_of_every_recipe(tmp_path, judges):
    """0, NaN and False where there is none."""
    plain = small(recipes=("octaves", "company"))
    atlas = judged(plain) if judges else plain
    with h5py.File(written(tmp_path, atlas)) as file:
        for layer in atlas.layers:
            for recipe, group in (("octaves", "units"), ("company", "recipes/company")):
                evidence = layer.evidence
                places = evidence.pictures.get(recipe, {}) if evidence else {}
                own = [places.get(channel, NOWHERE) for channel in layer.chosen]
                nine = [
                    evidence.photographs[channel].ident if evidence else 0
                    for channel in layer.chosen
                ]
                found = file[f"layers/{layer.info.name}/{group}"]
                assert found["ident"][...].tolist() == [one.ident for one in own]
                assert found["ident_photographs"][...].tolist() == nine
                assert same_numbers(found["predict"][...], [one.predict for one in own])
                behind = [evidence is not None and one.ident > evidence.live / 4 for one in own]
                assert found["unidentified"][...].tolist() == behind


def test_attributes_of_root_and_layers_are_those_of_the_format(tmp_path):
    atlas = small(recipes=("octaves", "company"))
    written(tmp_path, atlas)
    found = json.loads(read_elsewhere(tmp_path))
    assert found["/"]["attrs"] == {
        "schema": 1,
        "atlas_version": "1.2.3",
        "model": "synthetic",
        "weights_sha256": "5a" * 32,
        "images_sha256": "c3" * 32,
        "n_images": 12,
        "recipe": "octaves",
        "seed": 0,
        "created": "2026-01-31T12:00:00Z",
    }
    for index, layer in enumerate(atlas.layers):
        assert found[f"layers/{layer.info.name}"]["attrs"] == {
            "name": layer.info.name,
            "index": index,
            "channels": 8,
            "height": layer.info.height,
            "width": layer.info.width,
            "type": layer.info.type,
        }


def test_layers_and_recipes_are_listed_in_their_order(tmp_path):
    recipes = ("octaves", "pyramid", "company")
    program = """
import h5py
with h5py.File("atlas.h5") as file:
    print(*file["layers"], *file["layers/conv_stem/recipes"])
"""
    written(tmp_path, small(recipes=recipes))
    names = read_elsewhere(tmp_path, program).split()
    assert names == ["conv_stem", "blocks.0.0", "blocks.1.0", "pyramid", "company"]


def test_classes_come_last_by_recipes_of_their_own(tmp_path):
    atlas = small(recipes=("octaves", "classes"))
    last = replace(atlas.layers[2].info, name="class scores")
    classes = replace(atlas.layers[2], info=last)
    shown = replace(
        atlas,
        layers=atlas.layers[:2],
        recipes=("octaves",),
        classes=classes,
        class_recipes=("classes",),
    )
    path = tmp_path / "atlas.h5"
    report = write_export(path, shown, SyntheticPictures(atlas), "1")
    assert (report.layers, report.units) == (3, 12)
    with h5py.File(path) as file:
        assert list(file["layers"]) == ["conv_stem", "blocks.0.0", "class~20scores"]
        group = file["layers/class~20scores"]
        assert group.attrs["name"] == "class scores"
        assert group["units"].attrs["name"] == "classes"
        assert "recipes" not in group


def test_lenses_of_each_image_are_a_group_that_h5py_reads(tmp_path):
    atlas = small(lenses=(0, 3), class_names=("cat", "dog", "cup"))
    assert len(atlas.lenses) == 2
    with h5py.File(written(tmp_path, atlas)) as file:
        assert list(file["lenses"]) == [str(image) for image in atlas.lenses]
        for image in atlas.lenses:
            group, lens = file["lenses"][str(image)], SyntheticPictures(atlas).lens(image)
            assert group.attrs["image_index"] == image
            assert np.array_equal(group["saliency"], lens.saliency)
            assert group["index"][:].tolist() == [one.index for one in lens.predictions]
            assert lens.fooling is not None
            assert np.array_equal(group["fooling/image"], lens.fooling.image)
            assert bool(group["fooling/fooled"][0]) == lens.fooling.fooled
            assert group["layers"].asstr()[:].tolist() == [maps.layer for maps in lens.maps]
            for place, maps in enumerate(lens.maps):
                assert np.array_equal(group[f"maps/{place}/maps"], maps.maps)


def test_pictures_carry_the_attributes_of_the_image_specification(tmp_path):
    with h5py.File(written(tmp_path, small())) as file:
        attributes = file["layers/conv_stem/units/image"].attrs
        texts = {name: attributes[name] for name in attributes}
        sizes = {name: attributes.get_id(name).get_type().get_size() for name in attributes}
    assert texts == {
        "CLASS": b"IMAGE",
        "IMAGE_VERSION": b"1.2",
        "IMAGE_SUBCLASS": b"IMAGE_TRUECOLOR",
        "INTERLACE_MODE": b"INTERLACE_PIXEL",
        "IMAGE_COLORMODEL": b"RGB",
        "DISPLAY_ORIGIN": b"UL",
    }
    assert sizes == {name: len(text) + 1 for name, text in texts.items()}


def test_every_dataset_is_checksummed_and_none_is_compressed(tmp_path):
    written(tmp_path, small())
    datasets = [one for one in json.loads(read_elsewhere(tmp_path)).values() if "dtype" in one]
    assert len(datasets) == 3 * (5 + 16 + 3 + 4 + 2) + 4 + 3
    assert {(one["checked"], one["compression"]) for one in datasets} == {(True, None)}


def test_the_lines_of_the_manual_read_the_file(tmp_path):
    """They are five, and print each layer with the picture of its best unit."""
    atlas = small(plain=True)
    written(tmp_path, atlas)
    section = DOCS.read_text("utf-8").partition("## One file")[2]
    program = section.partition("```python\n")[2].partition("```")[0]
    assert len([line for line in program.splitlines() if line.strip()]) == 5
    lines = read_elsewhere(tmp_path, program).splitlines()
    assert len(lines) == 3
    for line, layer in zip(lines, atlas.layers, strict=True):
        assert line.startswith(f"{layer.info.name} {layer.chosen[0]} ")
        assert line.endswith(f"({SIZE}, {SIZE}, 3)")


def test_the_manuals_lines_for_labels_find_the_channels_that_answer_most_like_one(tmp_path):
    atlas = small()
    path = written(tmp_path, atlas)
    section = DOCS.read_text("utf-8").partition("### Labels, and tools")[2]
    program = section.partition("```python\n")[2].partition("```")[0]
    with h5py.File(path) as file:
        paths = file["images/path"].asstr()[:]
    label = paths[3]
    program = program.replace('"dog"', repr(label)).replace("blocks.5.3", "blocks.0.0")
    printed = read_elsewhere(tmp_path, program)
    (layer,) = (one for one in atlas.layers if one.info.name == "blocks.0.0")
    truth = [label in path for path in paths]
    wanted = [np.corrcoef(truth, layer.stats.over_images(channel))[0, 1] for channel in range(8)]
    first = int(printed.strip("[").split()[0])
    assert first == int(np.argmax(wanted))
    assert f"{max(wanted):.6f}"[:5] in printed


def test_report_counts_layers_units_and_pictures(tmp_path):
    atlas = small(recipes=("octaves", "company"))
    path = tmp_path / "atlas.h5"
    report = write_export(path, atlas, SyntheticPictures(atlas), "1")
    rendered = sum(len(layer.renderings) for layer in atlas.layers)
    assert (report.layers, report.units, report.pictures) == (3, 12, rendered)
    assert (report.path, report.bytes) == (path, path.stat().st_size)


# --- unusual content -----------------------------------------------------------------------------


def test_hostile_layer_names_stay_in_their_group_and_come_back(tmp_path):
    names = [
        "../../etc",
        "a/b",
        "/",
        ".",
        "..",
        "layers",
        "<script>",
        "a\nb",
        "x" * 300,
        "é",
        "~2F",
    ]
    atlas = small(names=tuple((name, "Conv2d") for name in names), units=1)
    path = written(tmp_path, atlas)
    with h5py.File(path) as file:
        assert set(file) == {"layers", "images", "lenses", "natural"}
        assert [layer.attrs["name"] for layer in file["layers"].values()] == names
        assert all(set(layer) == set(file["layers/layers"]) for layer in file["layers"].values())
        back = [unescape_name(name) for name in file["layers"] if "~~" not in name]
        assert back == [name for name in names if len(name) < 190]


def test_texts_that_are_no_unicode_become_visible(tmp_path):
    atlas = small(sample_names=("bad\udcff.jpg", "nul\0", "é"), name="mo\udc80del\0")
    written(tmp_path, atlas)
    found = json.loads(read_elsewhere(tmp_path))
    assert found["images/path"]["value"][:3] == ["bad\\udcff.jpg", "nul\\x00", "é"]
    assert found["/"]["attrs"]["model"] == "mo\\udc80del\\x00"


def test_channels_that_were_not_finite_leave_minus_one_at_the_end(tmp_path):
    atlas = small()
    first = replace(atlas.layers[0], ranking=np.array([5, 0, 2], np.int32))
    with h5py.File(written(tmp_path, replace(atlas, layers=(first,)))) as file:
        assert file["layers/conv_stem/ranking"][...].tolist() == [5, 0, 2, *[-1] * 5]


def test_an_empty_layer_and_no_images_are_empty_columns(tmp_path):
    atlas = small()
    first = replace(atlas.layers[0], chosen=(), renderings=())
    samples = replace(atlas.samples, samples=())
    written(tmp_path, replace(atlas, layers=(first,), samples=samples))
    found = json.loads(read_elsewhere(tmp_path))
    assert found["images/path"]["shape"] == [0]
    assert found["layers/conv_stem/units/status"]["shape"] == [0]
    assert found["layers/conv_stem/units/image"]["shape"] == [0, SIZE, SIZE, 3]
    assert found["layers/conv_stem/examples/box"]["shape"] == [0, 9, 4]


class Resized:
    """Pictures of some other size than the atlas says, as `pyramid` has them; failed ones none."""

    def __init__(self, atlas: ModelAtlas, side: int) -> None:
        self.atlas, self.side = replace(atlas, size=side), side

    def rendering(self, unit: Unit, recipe: str) -> Rendering:
        pictures = SyntheticPictures(self.atlas)
        return pictures.rendering(unit, recipe)

    def sample(self, index: int) -> bytes:
        raise AssertionError(f"sample {index} is not needed")


@pytest.mark.parametrize("side", [9, 2 * SIZE])
def test_pictures_of_another_size_are_resized_as_the_sheets_are(tmp_path, side):
    atlas = small(plain=True)
    pictures = Resized(atlas, side)
    write_export(tmp_path / "atlas.h5", atlas, pictures, "1")
    unit = Unit(layer="conv_stem", channel=atlas.layers[0].chosen[1])
    original = to_pixels(pictures.rendering(unit, "octaves").image)
    assert original.shape == (side, side, 3)
    with h5py.File(tmp_path / "atlas.h5") as file:
        got = file["layers/conv_stem/units/image"][1]
    assert np.array_equal(got, fit(original, SIZE, SIZE))


def test_twice_the_size_is_the_mean_of_four_pixels(tmp_path):
    atlas = small(plain=True)
    write_export(tmp_path / "atlas.h5", atlas, Resized(atlas, 2 * SIZE), "1")
    unit = Unit(layer="conv_stem", channel=atlas.layers[0].chosen[0])
    image = drawn(replace(atlas, size=2 * SIZE), unit, "octaves").astype(float)
    means = image.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
    with h5py.File(tmp_path / "atlas.h5") as file:
        assert np.abs(file["layers/conv_stem/units/image"][0] - means).max() <= 0.5


def test_a_failed_unit_keeps_its_status_and_has_no_picture(tmp_path):
    atlas = small(plain=True)
    first = atlas.layers[0]
    failed = replace(first.renderings[0], status="failed")
    atlas = replace(atlas, layers=(replace(first, renderings=(failed, *first.renderings[1:])),))
    with h5py.File(written(tmp_path, atlas)) as file:
        units = file["layers/conv_stem/units"]
        assert units["status"].asstr()[...].tolist() == ["failed", "ok", "ok", "ok"]
        assert not units["image"][0].any()
        assert units["image"][1].any()


# --- the same bytes, in little memory -------------------------------------------------------------

WRITE = """
import sys
from pathlib import Path
from tests.cache.test_export import small, written
written(Path(sys.argv[1]), small(recipes=("octaves", "company")))
"""


def test_the_same_atlas_gives_the_same_bytes_in_another_process(tmp_path):
    """Fresh memory is filled with rubbish there, which would show in the file."""
    path = written(tmp_path, small(recipes=("octaves", "company")))
    other = tmp_path / "other"
    other.mkdir()
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "MALLOC_PERTURB_": "165", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", WRITE, other], check=True, cwd=root, env=environment)
    assert (other / "atlas.h5").read_bytes() == path.read_bytes()


def test_no_object_carries_a_date(tmp_path):
    with h5py.File(written(tmp_path, small(recipes=("octaves", "company")))) as file:
        items = [file]
        file.visititems(lambda name, item: items.append(item))
        assert len(items) > 50
        assert not any(item.id.get_create_plist().get_obj_track_times() for item in items[1:])


def test_pictures_are_read_and_written_one_at_a_time(tmp_path, monkeypatch):
    atlas = small(plain=True)
    order = []

    class Watched(SyntheticPictures):
        def rendering(self, unit, recipe):
            order.append("read")
            return super().rendering(unit, recipe)

    check = export_contents.Writer.check
    monkeypatch.setattr(
        export_contents.Writer, "check", lambda self: (order.append("safe"), check(self))
    )
    write_export(tmp_path / "atlas.h5", atlas, Watched(atlas), "1")
    reads = [place for place, what in enumerate(order) if what == "read"]
    assert len(reads) == 12
    assert all(order[place + 1] == "safe" for place in reads)


@pytest.mark.parametrize("recipes", [("octaves",), ("octaves", "company", "phase")])
def test_predicted_size_is_enough(tmp_path, recipes):
    atlas = small(recipes=recipes, units=24, layers=5, size=64)
    size = written(tmp_path, atlas).stat().st_size
    assert size < export.predicted_bytes(atlas) < 2 * size


# --- failures ------------------------------------------------------------------------------------


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    used = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used)
    with pytest.raises(CacheError, match=r"has 0 MB free and this run needs about 1 MB"):
        written(tmp_path, small())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (".", "it is a folder; give --out the name of a file"),
        ("fifo", "it is no ordinary file; give --out the name of a file"),
        ("missing/atlas.h5", "there is no folder .*missing; make it, or give another --out"),
        ("file/atlas.h5", "a file is in the place of a folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_where_no_file_can_be_is_refused_in_one_line(tmp_path, place, text):
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CacheError, match=text) as caught:
        write_export(tmp_path / place, small(), SyntheticPictures(small()), "1")
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ["fifo", "file"]


def test_a_folder_without_permission_is_refused_in_one_line(tmp_path, monkeypatch):
    def refuse(self, path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(export.Stream, "__init__", refuse)
    with pytest.raises(CacheError, match=r"cannot write .*atlas.h5: no permission"):
        written(tmp_path, small())
    assert os.listdir(tmp_path) == []


class Faults:
    """A function of `os` that fails from some call on."""

    def __init__(self, after: int, error: BaseException, call: Callable[..., object]) -> None:
        self.left, self.error, self.call = after, error, call

    def __call__(self, *arguments: object) -> object:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.call(*arguments)


def count_writes(folder: Path, atlas: ModelAtlas, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count the writes of an undisturbed export."""
    faults = Faults(10**9, OSError(), os.write)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", faults)
        written(folder, atlas)
    return 10**9 - faults.left


def test_a_failure_at_any_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    """Every one of them, so that no state of the HDF5 library is left out."""
    atlas = small(layers=1, recipes=("octaves", "company"))
    total = count_writes(tmp_path, atlas, monkeypatch)
    old = tmp_path / "atlas.h5"
    old.write_bytes(b"the old one")
    for after in range(total):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", Faults(after, OSError(errno.ENOSPC, "full"), os.write))
            with pytest.raises(CacheError, match="the disk is full"):
                written(tmp_path, atlas)
        assert os.listdir(tmp_path) == ["atlas.h5"]
    assert total > 60
    assert old.read_bytes() == b"the old one"


def test_a_limit_that_free_space_does_not_show_is_one_line(tmp_path):
    """A real refusal of the system in the middle of a picture; quotas look the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(CacheError, match=r"cannot write .*atlas.h5: File too large"):
            written(tmp_path, small(size=64))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    old = tmp_path / "atlas.h5"
    old.write_bytes(b"the old one")
    monkeypatch.setattr(os, call, Faults(0, KeyboardInterrupt(130), getattr(os, call)))
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, small())
    assert os.listdir(tmp_path) == ["atlas.h5"]
    assert old.read_bytes() == b"the old one"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_on_the_way_into_a_write_waits_until_the_library_has_returned(
    tmp_path, monkeypatch, number
):
    """Raised there, it would go through the library, which does not survive that every time."""
    inside, order, write = [], [], export.Stream.write

    def handler(number, frame):
        order.append("inside" if inside else "outside")
        raise KeyboardInterrupt(128 + number)

    def interrupted(self, data):
        inside.append(1)
        if not order:
            signal.raise_signal(number)
        size = write(self, data)
        inside.pop()
        return size

    monkeypatch.setattr(export.Stream, "write", interrupted)
    before = signal.signal(number, handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            written(tmp_path, small())
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert caught.value.args == (128 + number,)
    assert set(order) == {"outside"}
    assert os.listdir(tmp_path) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path, monkeypatch):
    write = export.Stream.write
    monkeypatch.setattr(
        export.Stream,
        "write",
        lambda self, data: signal.raise_signal(signal.SIGINT) or write(self, data),
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        path = written(tmp_path, small())
    finally:
        signal.signal(signal.SIGINT, before)
    assert h5py.is_hdf5(path)


def test_a_thread_can_write_an_export(tmp_path):
    """Handlers of signals can be set in the main thread only."""
    thread = threading.Thread(target=written, args=(tmp_path, small()))
    thread.start()
    thread.join()
    assert h5py.is_hdf5(tmp_path / "atlas.h5")


def test_a_failing_rename_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", Faults(0, OSError(errno.EROFS, "read-only"), os.replace))
    with pytest.raises(CacheError, match=r"cannot write .*atlas.h5: the file system is read-only"):
        written(tmp_path, small())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError("bad checksum"), CacheError("holds no rendering")])
def test_a_picture_that_cannot_be_read_is_no_fault_of_the_new_file(tmp_path, error):
    class Broken(SyntheticPictures):
        def rendering(self, unit, recipe):
            raise error

    atlas = small(plain=True)
    with pytest.raises(CacheError, match=r"bad checksum.*check|holds no rendering") as caught:
        write_export(tmp_path / "atlas.h5", atlas, Broken(atlas), "1")
    assert "cannot write" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def flip(path: Path, at: int) -> None:
    """Turn one bit of a file over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def is_refused(path: Path, expected: dict[str, str]) -> bool:
    """Return whether verification refuses a file, in one line."""
    try:
        export.verify(path, expected)
    except CacheError as error:
        return len(str(error).splitlines()) == 1
    return False


def chunk_places(path: Path) -> list[int]:
    """The middle byte of every chunk of every dataset."""
    places = []

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            chunks = map(item.id.get_chunk_info, range(item.id.get_num_chunks()))
            places.extend(chunk.byte_offset + chunk.size // 2 for chunk in chunks)

    with h5py.File(path) as file:
        file.visititems(note)
    return places


def test_a_flipped_bit_in_any_chunk_is_refused(tmp_path):
    path = written(tmp_path, small(layers=1))
    good, places = path.read_bytes(), chunk_places(path)
    with h5py.File(path) as file:
        expected = export.read_back(file)
    assert len(places) == 5 + 15 + 4 + 3 + 2 + 4 + 2 + 5  # the pictures are four chunks
    assert not is_refused(path, expected)
    for at in places:
        flip(path, at)
        assert is_refused(path, expected), at
        path.write_bytes(good)


def test_a_flipped_bit_in_an_attribute_is_refused(tmp_path):
    """Texts of attributes lie in a heap that has no checksums."""
    path = written(tmp_path, small(layers=1))
    with h5py.File(path) as file:
        expected = export.read_back(file)
    flip(path, path.read_bytes().index(b"5a" * 32))
    assert is_refused(path, expected)


def test_a_file_that_reads_back_wrong_never_takes_the_place_of_a_good_one(tmp_path, monkeypatch):
    path = written(tmp_path, small(layers=1))
    good, verify = path.read_bytes(), export.verify

    def damaged(temporary: Path, expected: dict[str, str]) -> None:
        flip(temporary, len(good) // 2)
        verify(temporary, expected)

    monkeypatch.setattr(export, "verify", damaged)
    with pytest.raises(CacheError, match="check the disk, or give another --out"):
        written(tmp_path, small(layers=1))
    assert os.listdir(tmp_path) == ["atlas.h5"]
    assert path.read_bytes() == good


@pytest.mark.parametrize("name", ["images/path", "images/missing", "@model"])
def test_what_reads_back_other_than_it_was_written_is_named(tmp_path, name):
    path = written(tmp_path, small(layers=1))
    with h5py.File(path) as file:
        expected = export.read_back(file)
    with pytest.raises(CacheError, match=rf"does not hold what was written \({name}\)"):
        export.verify(path, {**expected, name: "other"})
