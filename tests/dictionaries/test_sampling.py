"""Positions are drawn from the digests of images, whatever the order of the files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from atlas.dictionaries.sampling import at_some_places, parted, run_each, split_images
from atlas.images.imageset import ImageItem, ImageSet


def item(name: str, digest: str) -> ImageItem:
    return ImageItem(name=name, path=Path(name), sha256=digest * 64, crop="centre")


def image_set(*items: ImageItem) -> ImageSet:
    return ImageSet(title="some", items=items, skipped=(), root=Path())


def test_images_go_by_their_digests_and_files_count_once() -> None:
    first, second = item("b", "1"), item("a", "2")
    one = split_images(image_set(first, second, replace(first, name="copy")))
    other = split_images(image_set(second, first))
    assert [item.sha256 for item in one.items] == [first.sha256, second.sha256]
    assert one.items == other.items
    assert one.judging.tolist() == other.judging.tolist()


def test_positions_depend_on_the_image_alone() -> None:
    maps = torch.arange(2 * 5 * 5).reshape(2, 5, 5)
    rows = at_some_places(maps, item("a", "3"), 4)
    assert rows.shape == (4, 2)
    assert len(np.unique(rows[:, 0])) == 4
    assert (rows[:, 1] - rows[:, 0] == 25).all()
    assert rows.tolist() == at_some_places(maps, item("elsewhere", "3"), 4).tolist()
    assert at_some_places(maps, item("a", "3"), 99).shape == (25, 2)


def test_images_that_judge_only_measure() -> None:
    rows = [np.full((2, 3), value, np.float32) for value in range(3)]
    found = parted(rows, [False, True, False])
    assert np.unique(found.fit).tolist() == [0, 2]
    assert np.unique(found.judge).tolist() == [1]
    assert (found.fitted, found.judged) == (2, 1)


def test_where_no_image_judges_all_of_them_do() -> None:
    found = parted([np.zeros((2, 3), np.float32)], [False])
    assert len(found.judge) == len(found.fit) == 2


def test_an_image_on_which_the_network_fails_is_left_out() -> None:
    def run(images: torch.Tensor, normalised: bool = False) -> dict[str, torch.Tensor]:
        if (images == 0).all(1).any():
            raise RuntimeError("black")
        return {"conv": images}

    white, black = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    found = run_each(run, torch.device("cpu"), [white, black, white])
    assert [sorted(one) for one in found] == [["conv"], [], ["conv"]]
