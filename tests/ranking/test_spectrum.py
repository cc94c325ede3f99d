"""Strips of a spectrum, against their definition worked out slowly."""

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking import spectrum
from atlas.ranking.spectrum import PERCENTILES, STRIP_IMAGES, choose_strips, image_pool
from atlas.records.spectrum import Strip

Floats = NDArray[np.float32]


def strips_of(peaks: list[float] | Floats, files: list[int] | None = None) -> tuple[Strip, ...]:
    values = np.array(peaks, np.float32)
    numbers = np.array(range(len(values)) if files is None else files, np.int64)
    return choose_strips(values, numbers, image_pool(len(values)))


def random_peaks(seed: int, images: int) -> tuple[Floats, list[int]]:
    """Peaks of which about a third are tied at zero, on crops of about a third as many files."""
    random = np.random.default_rng(seed)
    peaks = np.maximum(random.normal(0.4, 1, images), 0).round(2).astype(np.float32)
    return peaks, random.integers(0, images // 3 + 1, images).tolist()


def slow(peaks: list[float], files: list[int]) -> list[tuple[int, int, float, float, list[int]]]:
    """Percentile, up to, value, share and images of each strip, in plain Python."""
    count, ordered = len(peaks), sorted(peaks)
    groups: list[tuple[float, list[int]]] = []
    for percentile in PERCENTILES:
        value = ordered[int(percentile / 100 * (count - 1) + 0.5)]
        if groups and groups[-1][0] == value:
            groups[-1][1].append(percentile)
        else:
            groups.append((value, [percentile]))
    values = [value for value, _ in groups]
    ranks = {image: at for at, image in enumerate(sorted(range(count), key=peaks.__getitem__))}
    shown: list[list[int]] = [[] for _ in values]
    for _ in range(STRIP_IMAGES):
        for place, value in enumerate(values):
            own = [ranks[image] for image in range(count) if peaks[image] == value]
            ends = {0: (-1, 2), len(values) - 1: (-2, 1)}
            up, down = ends.get(place, (-1, 1))
            high = values[place + up] if place + up >= 0 else np.inf
            low = values[place + down] if place + down < len(values) else -np.inf
            free = [
                image
                for image in range(count)
                if low < peaks[image] < high
                and all(image not in strip for strip in shown)
                and all(files[image] != files[other] for other in shown[place])
            ]
            if free:
                away = [(min(abs(ranks[image] - one) for one in own), image) for image in free]
                shown[place].append(min(away)[1])
    rows = []
    for place, (value, percentiles) in enumerate(groups):
        below = values[place + 1] if place + 1 < len(values) else -np.inf
        share = sum(below < peak <= value for peak in peaks) / count
        best = sorted(shown[place], key=lambda image: (-peaks[image], image))
        rows.append((min(percentiles), max(percentiles), value, share, best))
    return rows


@pytest.mark.parametrize("images", [4, 5, 7, 9, 16, 40, 120])
@pytest.mark.parametrize("seed", range(4))
def test_strips_are_those_of_the_definition(seed: int, images: int) -> None:
    peaks, files = random_peaks(seed, images)
    found = [
        (one.percentile, one.up_to, one.value, one.share, list(one.rows))
        for one in strips_of(peaks, files)
    ]
    assert found == slow(peaks.tolist(), files)


@pytest.mark.parametrize("seed", range(20))
def test_no_file_is_twice_in_a_strip_and_no_image_in_two(seed: int) -> None:
    peaks, files = random_peaks(seed, 60)
    strips = strips_of(peaks, files)
    for strip in strips:
        assert 0 < len({files[row] for row in strip.rows}) == len(strip.rows) <= STRIP_IMAGES
    rows = [row for strip in strips for row in strip.rows]
    assert len(set(rows)) == len(rows)
    assert sum(strip.share for strip in strips) == pytest.approx(1)


def test_a_thousand_different_peaks_give_every_percentile_its_images_and_share() -> None:
    peaks = np.random.default_rng(0).permutation(1001).astype(np.float32)
    strips = strips_of(peaks)
    assert [(one.percentile, one.up_to) for one in strips] == [(p, p) for p in PERCENTILES]
    assert [one.value for one in strips] == [1000, 990, 950, 900, 750, 500, 250, 0]
    shares = [10, 40, 50, 150, 250, 250, 250, 1]
    assert [one.share * 1001 for one in strips] == pytest.approx(shares)
    assert [peaks[row] for row in strips[0].rows] == [1000, 999, 998, 997]
    assert [peaks[row] for row in strips[-1].rows] == [3, 2, 1, 0]
    middle = {peaks[row] for row in strips[5].rows}
    assert middle >= {499, 500, 501}
    assert middle <= {498, 499, 500, 501, 502}


def test_images_that_tie_are_one_strip_with_the_share_of_all_of_them() -> None:
    peaks = [0.0] * 60 + list(range(1, 41))
    strips = strips_of(peaks)
    assert (strips[-1].percentile, strips[-1].up_to, strips[-1].value) == (0, 50, 0)
    assert strips[-1].share == 0.6
    assert strips[-1].rows == (0, 1, 2, 3)


def test_a_unit_that_never_fires_has_one_strip() -> None:
    (strip,) = strips_of([0.0] * 12)
    assert (strip.percentile, strip.up_to, strip.share) == (0, 100, 1)
    assert strip.rows == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        ([], []),
        ([7.0], [(0, 100, (0,))]),
        ([1.0, 2.0], [(50, 100, (1,)), (0, 25, (0,))]),
        ([2.0, 3.0, 1.0], [(75, 100, (1,)), (25, 50, (0,)), (0, 0, (2,))]),
    ],
)
def test_few_images_give_as_many_strips_as_there_are_images_for(
    peaks: list[float], expected: list[tuple[int, int, tuple[int, ...]]]
) -> None:
    assert [(one.percentile, one.up_to, one.rows) for one in strips_of(peaks)] == expected


def test_crops_of_one_file_give_each_strip_one_of_them() -> None:
    strips = strips_of(np.arange(100.0), [0] * 100)
    assert [len(strip.rows) for strip in strips] == [1] * len(PERCENTILES)


def test_images_outside_the_pool_count_but_are_not_shown() -> None:
    peaks = np.arange(1001, dtype=np.float32)
    pool = np.arange(1001) % 2 == 1
    strips = choose_strips(peaks, np.arange(1001), pool)
    assert [one.value for one in strips] == [1000, 990, 950, 900, 750, 500, 250, 0]
    assert all(pool[row] for strip in strips for row in strip.rows)
    assert [len(strip.rows) for strip in strips] == [STRIP_IMAGES] * 8


def test_a_pool_is_everything_or_so_many_images_evenly_spaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spectrum, "POOL", 5)
    assert np.flatnonzero(image_pool(3)).tolist() == [0, 1, 2]
    assert np.flatnonzero(image_pool(9)).tolist() == [0, 2, 4, 6, 8]
    assert image_pool(0).shape == (0,)
