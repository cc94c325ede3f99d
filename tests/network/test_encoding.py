"""The encoder on maps is the one that was measured, and dictionaries are tapped like layers."""

import numpy as np
import torch

from atlas.config import Config
from atlas.dictionaries.measure import answer
from atlas.models.load import Model, load_model, with_dictionaries
from atlas.models.selection import select_layers
from atlas.network.encoding import Encoder
from atlas.network.network import Network, keep
from atlas.records.dictionary import NO_SHARES, NO_SIZES, Code, Dictionary

CPU = torch.device("cpu")


def tiny_model() -> Model:
    return load_model(Config(model="tests.helpers:tiny_network", input_size=16))


def drawn(thresholds: list[float], channels: int = 4) -> Code:
    rng = np.random.default_rng(len(thresholds))
    count = len(thresholds)
    return Code(
        encoder=rng.normal(size=(count, channels)).astype(np.float32),
        decoder=rng.normal(size=(count, channels)).astype(np.float32),
        bias=rng.normal(size=count).astype(np.float32),
        threshold=np.array(thresholds, np.float32),
        offset=rng.normal(size=channels).astype(np.float32),
    )


def dictionary(code: Code, name: str = "relu1@drawn") -> Dictionary:
    return Dictionary(
        name=name,
        parent="relu1",
        method="file",
        code=code,
        fitted=0,
        judged=1,
        positions=1,
        explained=0.5,
        shuffled=0.1,
        shares=NO_SHARES,
        active=NO_SHARES,
        sizes=NO_SIZES,
        errors=NO_SHARES,
    )


def with_one(code: Code) -> Model:
    return with_dictionaries(tiny_model(), [dictionary(code)])


def test_encoder_answers_as_it_was_measured_at_every_threshold() -> None:
    code = drawn([0.0, 0.7, -np.inf, -0.3])
    maps = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    found = Encoder(code, CPU)(maps)
    rows = maps.permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    expected = answer(code, rows).reshape(2, 3, 5, 4).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_encoder_has_the_gradient_of_what_is_above_the_threshold() -> None:
    code = Code(
        encoder=np.eye(2, dtype=np.float32),
        decoder=np.eye(2, dtype=np.float32),
        bias=np.zeros(2, np.float32),
        threshold=np.array([0.5, 0.5], np.float32),
        offset=np.zeros(2, np.float32),
    )
    maps = torch.tensor([[[[2.0]], [[0.1]]]], requires_grad=True)
    Encoder(code, CPU)(maps).sum().backward()
    assert maps.grad is not None
    assert maps.grad.flatten().tolist() == [1, 0]


def test_encoder_computes_in_float32_inside_autocast() -> None:
    encoder, maps = Encoder(drawn([0.0, 0.0]), CPU), torch.randn(1, 4, 2, 2)
    plain = encoder(maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(maps), plain)


def test_a_layer_and_its_dictionary_come_out_of_one_pass() -> None:
    code = drawn([0.0, 0.0, 0.0])
    model = with_one(code)
    network = Network(model, ["relu1@drawn", "relu1", "relu2"], CPU)
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad(), network.tap({"relu1": keep, "relu1@drawn": keep, "relu2": keep}) as run:
        found = run(images)
    assert torch.equal(found["relu1@drawn"], Encoder(code, CPU)(found["relu1"]))
    with torch.no_grad(), network.tap({"relu1@drawn": keep}) as run:
        assert torch.equal(run(images)["relu1@drawn"], found["relu1@drawn"])


def test_what_a_dictionary_leaves_out_stays_where_its_answers_are_replaced() -> None:
    code = drawn([-np.inf, -np.inf])
    network = Network(with_one(code), ["relu1@drawn", "relu2"], CPU)
    before = torch.rand(1, 4, 3, 3)
    encoder = Encoder(code, CPU)
    answers = encoder(before)
    same = network.output_of("relu1@drawn", before, answers)
    assert isinstance(same, torch.Tensor)
    torch.testing.assert_close(same, before)
    more = network.output_of("relu1@drawn", before, answers + 1)
    assert isinstance(more, torch.Tensor)
    raised = torch.from_numpy(code.decoder.sum(0)).view(1, 4, 1, 1)
    torch.testing.assert_close(more - before, raised.expand_as(before))


def test_rows_of_dictionaries_stand_behind_their_layer_and_move_no_other() -> None:
    plain, model = tiny_model(), with_one(drawn([0.0, 0.0]))
    names = [layer.name for layer in model.layers]
    assert names.index("relu1@drawn") == names.index("relu1") + 1
    (row,) = (layer for layer in model.layers if layer.parent)
    parent = next(layer for layer in plain.layers if layer.name == "relu1")
    assert (row.channels, row.height, row.width) == (2, parent.height, parent.width)
    assert row.index == parent.index
    assert [layer for layer in model.layers if not layer.parent] == list(plain.layers)


def test_no_group_means_a_dictionary_but_its_name_does() -> None:
    layers = with_one(drawn([0.0, 0.0])).layers
    for group in ("blocks", "children", "all"):
        assert all(not layer.parent for layer in select_layers(layers, [group]))
    assert [one.name for one in select_layers(layers, ["relu1@drawn"])] == ["relu1@drawn"]
