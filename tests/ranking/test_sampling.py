"""Which images of a set are one file, and of which ones peaks are kept."""

import hashlib

from atlas.ranking.sampling import LARGEST_ROWS, sampling_of
from atlas.records.samples import Sample


def samples(*names: str) -> list[Sample]:
    return [
        Sample(
            index=index,
            name=name,
            sha256=hashlib.sha256(name.split("#")[0].encode()).hexdigest(),
            box=(0, 0, 8, 8),
        )
        for index, name in enumerate(names)
    ]


def test_crops_of_a_photograph_are_one_file_and_so_is_a_copy_under_another_name() -> None:
    set_ = samples("a.png#0,0,8", "b.png", "a.png#4,4,8", "c.png")
    assert sampling_of(set_).files.tolist() == [0, 1, 0, 3]


def test_a_small_set_is_kept_whole() -> None:
    assert sampling_of(samples("a", "b", "c")).rows.tolist() == [0, 1, 2]
    assert LARGEST_ROWS == 5000


def test_the_rows_of_a_large_set_do_not_depend_on_its_order() -> None:
    names = [f"{number}.jpg" for number in range(50)]
    kept = [names[row] for row in sampling_of(samples(*names), 8).rows]
    turned = names[::-1]
    assert sorted(turned[row] for row in sampling_of(samples(*turned), 8).rows) == sorted(kept)
    assert len(set(kept)) == 8
    assert kept != names[:8]


def test_the_rows_of_a_set_that_grew_by_one_image_are_the_same_but_for_that_one() -> None:
    names = [f"{number}.jpg" for number in range(50)]
    before = {names[row] for row in sampling_of(samples(*names), 8).rows}
    grown = [*names, "new.jpg"]
    after = {grown[row] for row in sampling_of(samples(*grown), 8).rows}
    assert len(after - before) <= 1
