"""A network's kind of output: recognised, undone exactly, or given by the user."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from atlas.errors import InputError, UsageError
from atlas.lenses.saliency import class_gradients
from atlas.models.load import Model
from atlas.models.outputs import (
    choose_outputs,
    find_outputs,
    score_rows,
)
from atlas.models.probes import probe_images
from atlas.network.network import Network, spatial_mean
from atlas.ranking.activations import measure_layers
from atlas.records.network import CLASSES, Outputs
from atlas.rendering.engine import render
from atlas.rendering.recipes import find_recipes
from atlas.rendering.scoring import score_images
from tests.classifiers import conv_network, pictures
from tests.helpers import job_of, layer_info, network_of

IMAGES = probe_images(32, 32, (0.5,) * 3, (0.25,) * 3)
End = Callable[[Tensor], object]


class Ends(nn.Module):
    """`conv_network` whose K scores, times a factor, go through one function more."""

    def __init__(self, end: End, classes: int = 5, factor: float = 1.0) -> None:
        super().__init__()
        self.plain = conv_network(classes)
        self.end, self.factor = end, factor

    def forward(self, images: Tensor) -> object:
        return self.end(self.factor * self.plain(images))


class Body(nn.Module):
    """Features that a head reads: K maps by one convolution, ReLU, and their spatial means."""

    def __init__(self, channels: int, *head: nn.Module) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, channels, 3), nn.ReLU(), nn.Sequential(*head)

    def forward(self, images: Tensor) -> Tensor:
        means: Tensor = self.relu(self.conv(images)).mean((2, 3))
        return self.head(means) if len(self.head) else means


def two_softmaxes(scores: Tensor) -> Tensor:
    return torch.cat([scores[:, :2].softmax(1), scores[:, 2:].softmax(1)], 1)


def one_hot(scores: Tensor) -> Tensor:
    return F.one_hot(scores.argmax(1), scores.shape[1]).float()


# --- where the scores are -------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [1, 2, 3, 5])
def test_a_network_that_squeezes_has_a_row_for_each_image(classes: int) -> None:
    """Three classes are as many as there are photographs."""
    squeezed = score_rows(Ends(lambda scores: scores.squeeze(), classes), IMAGES)
    plain = score_rows(conv_network(classes), IMAGES)
    assert squeezed is not None
    assert plain is not None
    assert torch.equal(squeezed, plain)


def test_a_network_of_one_image_at_a_time_is_asked_so() -> None:
    def one(scores: Tensor) -> Tensor:
        if len(scores) > 1:
            raise ValueError("one image, please")
        return scores

    rows = score_rows(Ends(one), IMAGES)
    assert rows is not None
    assert rows.shape == (3, 5)
    assert find_outputs(Ends(one), IMAGES, False) == "logits"


def test_boxes_of_a_detector_are_no_scores() -> None:
    """A list of a table for each image, as detectors return."""
    assert (
        score_rows(Ends(lambda scores: [{"boxes": one[None, :4]} for one in scores]), IMAGES)
        is None
    )


# --- what they are --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (lambda scores: scores, "logits"),
        (lambda scores: scores.squeeze(), "logits"),
        (lambda scores: scores.softmax(1), "probabilities"),
        (lambda scores: scores.double().softmax(1), "probabilities"),
        (lambda scores: scores.softmax(1).half(), "probabilities"),
        (lambda scores: (scores * 1e5).softmax(1), "probabilities"),
        (one_hot, "probabilities"),
        (lambda scores: scores.log_softmax(1), "log-probabilities"),
        (lambda scores: scores.sigmoid(), "multilabel"),
        (lambda scores: (scores * 1e5).sigmoid(), "multilabel"),
        (F.hardsigmoid, "multilabel"),
        (two_softmaxes, "multilabel"),
        (F.normalize, "embedding"),
        (lambda scores: F.normalize(scores.relu() + 0.1), "embedding"),
        (torch.tanh, "logits"),
        (lambda scores: torch.full_like(scores, torch.nan), "logits"),
        (lambda scores: (scores, scores[:, :2]), "none"),
    ],
)
def test_kinds_are_told_by_looking(end: End, found: Outputs) -> None:
    assert find_outputs(Ends(end, factor=3.0), IMAGES, False) == found


def test_one_score_is_a_class_by_itself_only_as_a_probability() -> None:
    for end, found in (
        (lambda scores: scores, "none"),
        (lambda scores: scores.squeeze(1), "none"),
        (lambda scores: scores.sigmoid(), "multilabel"),
        (lambda scores: scores.sigmoid().squeeze(), "multilabel"),
        (lambda scores: scores.softmax(1), "multilabel"),  # 1 on everything, whatever that means
    ):
        assert find_outputs(Ends(end, 1), IMAGES, False) == found


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_raw_scores_that_happen_to_lie_between_0_and_1_are_no_probabilities(classes: int) -> None:
    network = Ends(lambda scores: scores.view(-1, classes) * 1, classes, 0.01)
    network.plain.get_submodule("classes").bias.data.fill_(50.0)
    rows = score_rows(network, IMAGES)
    assert rows is not None
    assert bool(((rows > 0) & (rows < 1)).all())
    assert find_outputs(network, IMAGES, False) == ("none" if classes == 1 else "logits")


def test_what_a_linear_map_puts_out_is_never_taken_for_a_probability() -> None:
    """Even where it stays between 0 and 1 for ever."""
    network = conv_network(5)
    network.get_submodule("classes").weight.data.zero_()
    network.get_submodule("classes").bias.data.fill_(0.2)
    assert find_outputs(network, IMAGES, False) == "logits"
    assert find_outputs(Ends(lambda scores: scores.sigmoid_()), IMAGES, False) == "multilabel"


def test_features_are_told_from_classes_where_that_can_be() -> None:
    assert find_outputs(Body(512), IMAGES, False) == "embedding"
    assert find_outputs(Body(12, nn.Identity()), IMAGES, False) == "embedding"
    assert find_outputs(Body(512, nn.Linear(512, 9), nn.Identity()), IMAGES, False) == "logits"
    assert find_outputs(Body(12), IMAGES, False) == "logits"  # as a classifier of means would do
    means = nn.Sequential(nn.Conv2d(3, 512, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert find_outputs(means, IMAGES, False) == "logits", "a convolution that classifies"


def test_a_network_whose_classes_have_names_has_classes() -> None:
    assert find_outputs(Body(512), IMAGES, True) == "logits"
    assert find_outputs(Ends(F.normalize), IMAGES, True) == "logits"


def test_a_network_that_works_in_inference_mode_is_looked_at_too() -> None:
    class Inference(Ends):
        def forward(self, images: Tensor) -> object:
            with torch.inference_mode():
                return super().forward(images)

    assert find_outputs(Inference(lambda scores: scores.softmax(1)), IMAGES, False) == (
        "probabilities"
    )


def test_modules_of_torchscript_take_no_hooks_and_are_looked_at_all_the_same() -> None:
    body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        script = torch.jit.script(body.eval())
    assert find_outputs(script, IMAGES, False) == "probabilities"
    assert find_outputs(nn.Sequential(script), IMAGES, False) == "probabilities"


def test_looking_leaves_no_hook_behind() -> None:
    network = Ends(lambda scores: scores.softmax(1))
    find_outputs(network, IMAGES, False)
    assert not any(module._forward_hooks for module in network.modules())


# --- what the user says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "end", "got"),
    [
        ("auto", lambda scores: scores.softmax(1), "probabilities"),
        ("probabilities", lambda scores: scores.softmax(1), "probabilities"),
        ("probabilities", lambda scores: scores.log_softmax(1), "log-probabilities"),
        ("logits", lambda scores: scores.softmax(1), "logits"),
        ("logits", F.normalize, "logits"),
        ("multilabel", lambda scores: scores, "multilabel-logits"),
        ("multilabel", lambda scores: scores.sigmoid(), "multilabel"),
        ("multilabel", lambda scores: scores.softmax(1), "multilabel"),
        ("none", lambda scores: scores, "none"),
    ],
)
def test_the_user_has_the_last_word(wanted: str, end: End, got: Outputs) -> None:
    assert choose_outputs(wanted, Ends(end), IMAGES, False) == got


def test_one_raw_score_can_be_said_to_be_a_class_by_itself() -> None:
    network = Ends(lambda scores: scores, 1)
    assert choose_outputs("multilabel", network, IMAGES, False) == "multilabel-logits"
    with pytest.raises(UsageError, match=r"--outputs logits: .* one score, which competes"):
        choose_outputs("logits", network, IMAGES, False)


def test_what_the_network_does_not_do_is_answered_in_one_line() -> None:
    for end in (lambda scores: scores, lambda scores: scores.sigmoid()):
        with pytest.raises(
            UsageError, match=r"do not add up to 1; allowed: auto, logits"
        ) as caught:
            choose_outputs("probabilities", Ends(end), IMAGES, False)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no row of scores for each image; allowed: auto or none"):
        choose_outputs("multilabel", Ends(lambda scores: None), IMAGES, False)


# --- from outputs to scores and back --------------------------------------------------------------


def seen(end: End, outputs: Outputs, classes: int = 5, factor: float = 1.0) -> Network:
    network = network_of(Ends(end, classes, factor), [CLASSES])
    return Network(
        Model(
            info=replace(network.info, outputs=outputs),
            network=Ends(end, classes, factor).eval().requires_grad_(False),
            layers=(replace(layer_info(CLASSES, classes, 1), groups=("classes",)),),
        ),
        [CLASSES],
        torch.device("cpu"),
    )


STEPS: list[tuple[End, Outputs]] = [
    (lambda scores: scores.softmax(1), "probabilities"),
    (lambda scores: F.softmax(scores, dim=-1), "probabilities"),
    (nn.Softmax(dim=1), "probabilities"),
    (lambda scores: scores.log_softmax(1), "log-probabilities"),
    (nn.LogSoftmax(dim=1), "log-probabilities"),
    (torch.sigmoid, "multilabel"),
    (nn.Sigmoid(), "multilabel"),
]
"""In the forms that people write them in."""


@pytest.mark.parametrize(("end", "outputs"), STEPS)
def test_pictures_and_saliency_of_a_class_are_those_without_the_last_step(
    end: End, outputs: Outputs
) -> None:
    """Byte for byte, and where the probability is 1 on every picture as well."""
    found = []
    for network in (seen(lambda scores: scores, "logits", 5, 900.0), seen(end, outputs, 5, 900.0)):
        (stats,) = measure_layers(network, [network.rows[CLASSES]], pictures(4))
        (recipe,) = find_recipes(("octaves",))
        short = replace(recipe, octaves=tuple(replace(one, steps=3) for one in recipe.octaves))
        drafts = render(network, job_of(short, CLASSES, [0, 3], stats))
        with network.tap({CLASSES: spatial_mean}) as run:
            gradients = class_gradients(run, torch.rand(2, 3, 16, 16, generator=seeded()), 1)
        found.append((stats.mean, *(draft.image for draft in drafts), gradients.numpy()))
    for plain, ended in zip(*found, strict=True):
        assert np.array_equal(plain, ended)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_last_step_that_is_hidden_gives_scores_that_differ_by_a_constant() -> None:
    images = torch.rand(3, 3, 16, 16, generator=seeded())
    with seen(lambda scores: scores, "logits").tap({CLASSES: spatial_mean}) as run:
        plain = run(images)[CLASSES]
    with seen(lambda s: s.exp() / s.exp().sum(1, True), "probabilities").tap(
        {CLASSES: spatial_mean}
    ) as run:
        hidden = run(images)[CLASSES]
    assert torch.allclose(hidden, plain - plain.mean(1, keepdim=True), atol=1e-5)


@pytest.mark.parametrize(("classes", "outputs"), [(5, "logits"), (1, "multilabel")])
def test_squeezed_scores_are_rows_for_one_image_as_for_several(
    classes: int, outputs: Outputs
) -> None:
    end = (lambda s: s.sigmoid().squeeze()) if classes == 1 else (lambda s: s.squeeze())
    network = seen(end, outputs, classes)
    images = torch.rand(3, 3, 16, 16, generator=seeded())
    with network.tap({CLASSES: spatial_mean}) as run:
        assert run(images)[CLASSES].shape == (3, classes)
    for alone in (torch.rand(classes), torch.rand(1, classes), torch.rand(classes).squeeze()):
        assert network.maps(CLASSES, alone).shape == (1, classes, 1, 1)


def test_what_is_no_table_of_scores_is_called_by_its_shapes() -> None:
    network = seen(lambda scores: scores, "logits")
    with pytest.raises(InputError, match=r"puts out \(N, 5, 2\), not class scores"):
        network.maps(CLASSES, torch.rand(1, 5, 2))


# --- classes that stand by themselves -------------------------------------------------------------


def picture() -> NDArray[np.uint8]:
    return pictures(1)[0]


def test_a_class_by_itself_needs_no_first_place_but_to_be_more_likely_than_not() -> None:
    bias = torch.tensor([3.0, 2.0, -2.0, 0.0, 0.0])
    network = seen(lambda scores: (0 * scores + bias).sigmoid(), "multilabel")
    (stats,) = measure_layers(network, [network.rows[CLASSES]], pictures(3))
    found = score_images(network, CLASSES, [0, 1, 2], [picture()] * 3, stats, 0.5)
    expected = 1 / (1 + np.exp(-bias[:3].numpy()))
    assert [one.confidence for one in found] == pytest.approx(expected.tolist(), abs=1e-6)
