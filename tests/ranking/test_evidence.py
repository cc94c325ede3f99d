"""IDENT and PREDICT against plain loops, planted answers, and what has to be chance."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from atlas.ranking.evidence import Judge, distinct_judges, judge_layer
from atlas.records.evidence import Observation, Place
from atlas.records.samples import Sample, SampleSet, judging_images
from atlas.records.statistics import LayerStats
from tests import store_records

WIDTHS = (5, 3, 4)
IMAGES, CHANNELS = 90, 40


def observation(features: NDArray[np.float32]) -> Observation:
    return Observation(observer="someone", weights_sha256="0", widths=WIDTHS, features=features)


def stats_of(answers: NDArray[np.float32]) -> LayerStats:
    """Statistics whose activations are these (N, C)."""
    count = answers.shape[1]
    return replace(
        store_records.stats(channels=count, images=len(answers)),
        activations=answers.astype(np.float16),
        scale=np.ones(count, np.float32),
        finite=np.ones(count, np.bool_),
    )


@pytest.fixture
def world() -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Features of images, which of them judge, and channels that answer to mixtures of features."""
    random = np.random.default_rng(3)
    features = random.normal(size=(IMAGES, sum(WIDTHS))).astype(np.float32)
    answers = features @ random.normal(size=(sum(WIDTHS), CHANNELS)).astype(np.float32)
    return features, np.arange(IMAGES) % 3 == 0, answers


def by_loops(picture, features, judging, answers, channel):
    """The place and the correlation of one unit, written as EVIDENCE.md writes them."""

    def phi(row):
        parts, first = [], 0
        for width in WIDTHS:
            columns = features[:, first : first + width].astype(float)
            z = (row[first : first + width] - columns.mean(0)) / columns.std(0)
            parts.append(z / np.sqrt((z**2).sum()))
            first += width
        return np.concatenate(parts) / np.sqrt(len(WIDTHS))

    guess = [phi(picture) @ phi(row) for row in features[judging]]
    real = answers.astype(np.float16).astype(float)[judging]
    fits = [np.corrcoef(guess, real[:, v])[0, 1] for v in range(answers.shape[1])]
    return 1 + sum(fit > fits[channel] for fit in fits), fits[channel]


def test_places_are_those_of_the_written_formula(world) -> None:
    features, judging, answers = world
    judge = Judge(observation(features), judging, stats_of(answers))
    pictures = np.random.default_rng(5).normal(size=(6, sum(WIDTHS))).astype(np.float32)
    channels = [3, 0, 39, 3, 7, 11]
    found = judge.identify(pictures, channels)
    for picture, channel, got in zip(pictures, channels, found, strict=True):
        place, fit = by_loops(picture, features, judging, answers, channel)
        assert got.ident == place
        assert got.predict == pytest.approx(fit, abs=1e-6)


def test_a_picture_of_what_a_unit_answers_to_comes_first(world) -> None:
    features, judging, _ = world
    channel = features[:, 2]  # answers to one feature alone
    noise = np.random.default_rng(8).normal(size=(IMAGES, CHANNELS)).astype(np.float32)
    answers = np.column_stack([noise, channel])
    picture = features.mean(0) + features.std(0) * np.eye(sum(WIDTHS), dtype=np.float32)[2] * 9
    seen = replace(observation(features), widths=(sum(WIDTHS),))
    judge = Judge(seen, judging, stats_of(answers))
    (found,) = judge.identify(picture[None].astype(np.float32), [CHANNELS])
    assert found.ident == 1
    assert found.predict > 0.5


def test_photographs_are_the_nine_best_that_do_not_judge(world) -> None:
    features, judging, answers = world
    judge = Judge(observation(features), judging, stats_of(answers))
    moved = features.copy()
    moved[judging] += 100  # were one of them among the nine, the place would change
    best = [i for i in np.argsort(-answers[:, 4]) if not judging[i]][:9]
    views = judge.views[best].mean(0)
    assert judge.by_photographs([4]) == judge.place(views[None], [4])
    assert not judging[best].any()


def test_permuted_judging_images_give_places_by_chance() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(600, sum(WIDTHS))).astype(np.float32)
    answers = features @ random.normal(size=(sum(WIDTHS), 400)).astype(np.float32)
    judging = np.arange(600) % 3 == 0
    units = range(0, 400, 1)
    stats = stats_of(answers)
    true = Judge(observation(features), judging, stats).by_photographs(units)
    assert np.median([one.ident for one in true]) < 20, (
        "the photographs do identify their units here"
    )
    shuffled = answers.copy()
    shuffled[judging] = answers[judging][random.permutation(judging.sum())]
    lost = Judge(observation(features), judging, stats_of(shuffled)).by_photographs(units)
    assert abs(np.median([one.ident for one in lost]) - 200) < 60


def test_channels_that_never_vary_are_in_nobodys_way(world) -> None:
    features, judging, answers = world
    dead = np.zeros((IMAGES, 60), np.float32)
    with_dead = Judge(observation(features), judging, stats_of(np.hstack([answers, dead])))
    alone = Judge(observation(features), judging, stats_of(answers))
    units = range(CHANNELS)
    assert with_dead.by_photographs(units) == alone.by_photographs(units)
    evidence = judge_layer(with_dead, {}, [])
    assert evidence.live == CHANNELS
    assert evidence.chance == 20.5
    (nowhere,) = with_dead.by_photographs([CHANNELS])
    assert nowhere.ident == 0
    assert np.isnan(evidence.share(nowhere))
    assert not evidence.unidentified(nowhere)


def test_evidence_of_a_layer_has_every_recipe_the_photographs_and_the_control(world) -> None:
    features, judging, answers = world
    judge = Judge(observation(features), judging, stats_of(answers))
    seen = {channel: features[channel] for channel in (4, 9, 30)}
    evidence = judge_layer(judge, {"octaves": seen, "company": {9: features[50]}}, [4, 9, 30])
    assert list(evidence.pictures["octaves"]) == [4, 9, 30]
    assert [evidence.pictures["company"][9]] == judge.identify(features[50:51], [9])
    assert list(evidence.photographs) == [4, 9, 30]
    swapped = judge.identify(features[[30, 4, 9]], [4, 9, 30])
    assert evidence.swapped == {"octaves": sorted(one.ident for one in swapped)[1] / CHANNELS}
    assert evidence.unidentified(Place(ident=11, predict=0.0))
    assert not evidence.unidentified(Place(ident=10, predict=0.0))
    places = {1: Place(ident=3, predict=0.1), 2: Place(ident=8, predict=0.1)}
    assert evidence.median(places) == 5.5


def samples_of(digests: list[str]) -> SampleSet:
    samples = tuple(
        Sample(index=i, name=f"{i}.png", sha256=digest, box=(0, 0, 8, 8))
        for i, digest in enumerate(digests)
    )
    return replace(store_records.SAMPLES, samples=samples)


def test_a_third_of_the_files_judges_whatever_else_is_there() -> None:
    digests = [f"{i * 2654435761 % 2**32:08x}{'0' * 56}" for i in range(3000)]
    judging = judging_images(samples_of(digests))
    assert 900 < judging.sum() < 1100
    assert judging_images(samples_of(digests[:50])).tolist() == judging[:50].tolist()


def test_crops_of_one_file_judge_together_and_count_once() -> None:
    crops = samples_of(["00000003" + "0" * 56] * 5 + ["00000001" + "0" * 56] * 4)
    assert judging_images(crops).tolist() == [True] * 5 + [False] * 4
    assert distinct_judges(crops) == 1
