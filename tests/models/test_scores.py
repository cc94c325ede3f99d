"""Scores in what a network returns, and scores that grow without a limit made of its outputs."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from atlas.models.scores import find_scores, is_made_of, to_scores
from atlas.ranking.classes import probabilities
from atlas.records.network import Outputs


@dataclass
class Answer:
    """As some libraries answer: a loss that is not there, then the scores."""

    loss: Tensor | None
    logits: Tensor
    hidden: Tensor


def test_scores_are_the_only_table_in_what_is_returned() -> None:
    scores, maps, loss = torch.rand(3, 5), torch.rand(3, 4, 2, 2), torch.rand(())
    for output in (scores, (scores, maps), [loss, scores], {"out": scores, "aux": maps}):
        assert find_scores(output) is scores
    assert find_scores(Answer(loss=None, logits=scores, hidden=torch.rand(3, 9))) is scores
    assert find_scores({"features": torch.rand(3, 9), "logits": scores}) is scores
    for output in ((scores, torch.rand(3, 9)), maps, torch.ones(3, 5, dtype=torch.int64), None):
        assert find_scores(output) is None


def test_scores_give_the_outputs_back() -> None:
    shares = torch.tensor([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [0.2, 0.2, 0.6]])
    kinds: tuple[tuple[Outputs, Tensor], ...] = (
        ("probabilities", shares),
        ("log-probabilities", shares.log()),
        ("multilabel", torch.tensor([[0.7, 0.7, 0.01], [1.0, 0.0, 0.5], [1e-30, 0.2, 0.6]])),
    )
    for kind, output in kinds:
        scores = to_scores(output, kind)
        assert bool(torch.isfinite(scores).all())
        expected = output.exp() if kind == "log-probabilities" else output
        assert probabilities(scores.numpy(), kind) == pytest.approx(expected.numpy(), abs=1e-6)


def test_scores_of_probabilities_are_those_behind_them_less_their_mean() -> None:
    scores = torch.tensor([[3.0, -1.0, 0.5, 40.0]])
    centred = scores - scores.mean()
    assert torch.allclose(to_scores(scores.softmax(1), "probabilities"), centred, atol=1e-4)
    assert torch.allclose(to_scores(scores.log_softmax(1), "log-probabilities"), centred, atol=1e-4)
    assert torch.allclose(
        to_scores(scores[:, :3].sigmoid(), "multilabel"), scores[:, :3], atol=1e-5
    )


def test_a_probability_of_nearly_1_still_has_a_gradient() -> None:
    """That of log p is 1 − p = e⁻³⁰ there, that of the score 1 − 1/K."""
    scores = torch.tensor([[30.0, 0.0]], requires_grad=True)
    score = to_scores(scores.softmax(1), "probabilities")[0, 0]
    (gradient,) = torch.autograd.grad(score, scores)
    assert gradient.tolist() == [pytest.approx([0.5, -0.5], abs=1e-3)]


def test_scores_are_taken_for_those_of_a_linear_map_through_its_last_step() -> None:
    linear = torch.tensor([[1.0, -2.0, 0.5]])
    for output in (linear, linear.softmax(1), linear.log_softmax(1), linear.sigmoid(), linear[0]):
        assert is_made_of(output, linear)
    assert not is_made_of(2 * linear, linear)
    assert not is_made_of(linear[:, :2], linear)
