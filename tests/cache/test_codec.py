"""Records become bytes and come back bit for bit; the same record is the same bytes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from atlas.cache.store import Store
from atlas.files.digests import sha256_file
from atlas.records.units import Unit
from tests.store_records import FINGERPRINT, KEY, RUN, block_paths, rendering, same, tree


def test_renderings_of_several_shapes_fit_in_one_block(tmp_path):
    made = [
        rendering(0),
        rendering(
            1,
            status="failed",
            reason="out of memory · é",
            image=np.zeros((3, 0, 0), np.float16),
            snapshots=np.zeros((0, 3, 0, 0), np.float16),
            objective=np.zeros(0, np.float32),
            octave_steps=(),
            start="example",
        ),
        rendering(2, size=5, octaves=3),
    ]
    with Store.open(tmp_path, "tiny", KEY) as opened:
        opened.write_renderings(0, 2, FINGERPRINT, made, RUN)
        opened.write_renderings(
            3, 3, FINGERPRINT, [replace(made[1], unit=Unit(layer="conv", channel=9))], RUN
        )
        for want in made:
            assert same(opened.rendering(want.unit, FINGERPRINT), want)
        assert opened.rendering(Unit(layer="conv", channel=9), FINGERPRINT).image.size == 0


FILL = """
import sys
from pathlib import Path
from tests.store_records import KEY, Store, fill
with Store.open(Path(sys.argv[1]), "tiny", KEY) as opened:
    fill(opened)
"""


def test_the_same_results_give_the_same_bytes_in_another_process(filled, tmp_path):
    # MALLOC_PERTURB_ fills fresh memory with rubbish, which would show in the file
    other = {**os.environ, "PYTHONHASHSEED": "7", "MALLOC_PERTURB_": "165", "LC_ALL": "C"}
    subprocess.run(
        [sys.executable, "-c", FILL, tmp_path / "other"],
        check=True,
        cwd=Path(__file__).parents[2],
        env=other,
    )
    assert tree(filled) == tree(tmp_path / "other" / "tiny" / filled.name)


def test_every_block_is_named_by_its_digest_and_checksummed(filled):
    paths = [path for path in block_paths(filled) if path.suffix == ".h5"]
    assert len(paths) == 15
    for path in paths:
        assert path.name.split(".")[-2] == sha256_file(path)[:12]
        with h5py.File(path, "r") as file:
            assert file.attrs["schema"] == 1
            found: list[h5py.Dataset] = []
            file.visititems(lambda _, one, found=found: found.append(one))
            datasets = [one for one in found if isinstance(one, h5py.Dataset)]
            assert all(one.fletcher32 for one in datasets if one.size)
