"""What an observer recognises, in sentences."""

from collections.abc import Mapping

import pytest

from atlas.gallery.evidence_sentences import (
    found,
    found_sentences,
    ident_sentence,
    ordinal,
    predict_sentence,
    unidentified_sentence,
)
from atlas.records.evidence import NOWHERE, LayerEvidence, Place


def at(ident: int) -> Place:
    return Place(ident=ident, predict=0.25)


def evidence(
    live: int = 192, swapped: Mapping[str, float] | None = None, **pictures: list[int]
) -> LayerEvidence:
    """MobileNetV2 on a layer; places by recipe, those of the photographs by `photographs`."""
    places = {
        name: {c: at(one) for c, one in enumerate(idents)} for name, idents in pictures.items()
    }
    return LayerEvidence(
        observer="MobileNetV2",
        judges=172,
        live=live,
        photographs=places.pop("photographs", {}),
        pictures=places,
        swapped=swapped or {},
    )


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (10, "10th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (20, "20th"),
        (21, "21st"),
        (22, "22nd"),
        (101, "101st"),
        (111, "111th"),
        (112, "112th"),
        (123, "123rd"),
        (1012, "1012th"),
        (4.0, "4th"),
        (3.5, "3.5th"),
    ],
)
def test_ordinals_end_as_they_are_spoken(place: float, word: str) -> None:
    assert ordinal(place) == word


def test_a_place_stands_beside_chance_and_the_nine_best_photographs() -> None:
    assert ident_sentence(evidence(), at(4), at(2)) == (
        "Shown only this picture, MobileNetV2 picks this unit as 4th of 192 (by chance: 96th); "
        "shown its nine best photographs: 2nd."
    )


@pytest.mark.parametrize("photographs", [None, NOWHERE])
def test_without_photographs_the_sentence_ends_with_chance(photographs: Place | None) -> None:
    assert ident_sentence(evidence(), at(4), photographs).endswith("4th of 192 (by chance: 96th).")


def test_what_has_no_place_says_why() -> None:
    assert "has not seen this picture" in ident_sentence(evidence(), None, at(2))
    assert "never varies on the judging" in ident_sentence(evidence(), NOWHERE, at(2))
    assert predict_sentence(evidence(), None) == predict_sentence(evidence(), NOWHERE)
    assert predict_sentence(evidence(), None) == "Not measured."


def test_the_prediction_is_said_with_the_number_of_photographs() -> None:
    said = predict_sentence(evidence(), at(4))
    assert "MobileNetV2" in said
    assert "0.25" in said
    assert "172 photographs" in said


def test_a_quarter_of_the_layer_is_identified_and_no_place_behind_it() -> None:
    assert unidentified_sentence(evidence(), at(48), at(1)) == ""
    assert "behind the first 25%" in unidentified_sentence(evidence(), at(49), at(1))
    assert unidentified_sentence(evidence(), None, None) == ""
    assert unidentified_sentence(evidence(), NOWHERE, at(1)) == ""


def test_a_unit_whose_photographs_are_unidentified_as_well_says_so() -> None:
    said = unidentified_sentence(evidence(), at(100), at(90))
    assert "MobileNetV2 cannot see what this unit sees" in said
    assert "cannot see" not in unidentified_sentence(evidence(), at(100), at(48))
    assert "cannot see" not in unidentified_sentence(evidence(), at(100), NOWHERE)


def test_places_of_a_layer_are_counted() -> None:
    idents = [1] * 41 + [3] * 20 + [30] * 35
    assert found(evidence(96), {c: at(one) for c, one in enumerate(idents)}) == (
        "41 of 96 at the first place, median 3rd of 96"
    )
    assert found(evidence(96), {0: NOWHERE}) == "not measured"


def test_a_layer_says_each_recipe_in_its_order_then_photographs_and_chance() -> None:
    layer = evidence(
        96, {"company": 0.5, "octaves": 0.25}, octaves=[9, 1], company=[1, 1], photographs=[2, 3]
    )
    control = "each picture judged as another unit’s"
    assert found_sentences(layer, ("company", "phase", "octaves")) == [
        ("company", "2 of 2 at the first place, median 1st of 96"),
        ("octaves", "1 of 2 at the first place, median 5th of 96"),
        ("nine photographs", "0 of 2 at the first place, median 2.5th of 96"),
        ("chance", f"median 48th of 96; {control}: 48th by company, 24th by octaves"),
    ]
    assert found_sentences(None, ("octaves",)) == []
