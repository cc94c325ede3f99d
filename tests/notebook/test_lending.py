"""A network that was lent is as it was before, and says meanwhile what it would say at home."""

import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atlas.config import Config
from atlas.errors import InputError
from atlas.keywords import IN_MEMORY
from atlas.models.load import load_model
from atlas.notebook.lending import bare, lent
from tests import foreign


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Torch's own warnings about what these networks use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def portrait(value: object, seen: set[int]) -> object:
    """All that can be seen of a value from outside: of tensors which they are, where and what."""
    if isinstance(value, Tensor):
        place = (id(value), value.data_ptr(), value.stride(), value.dtype, value.device)
        numbers = value.detach().clone().nan_to_num(7.0) if value.is_floating_point() else value
        return (
            *place,
            value.requires_grad,
            value._version,
            id(value.grad) if value.is_leaf else 0,
            numbers.tolist(),
        )
    if isinstance(value, dict | list | set | deque) and id(value) not in seen:
        seen.add(id(value))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return (id(value), [(key, portrait(part, seen)) for key, part in pairs])
    return (id(value), value if isinstance(value, bool | int | float | str) else None)


def portraits(network: nn.Module) -> list[object]:
    seen: set[int] = set()
    return [(id(one), type(one), portrait(vars(one), seen)) for one in network.modules()]


class Keeps(foreign.Base):
    """Changes all that a forward pass can change, also in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.count: int | Tensor = 0
        self.total = torch.zeros(1)
        self.register_buffer("seen", torch.zeros(1, dtype=torch.float64))
        self.history: list[Tensor] = []
        self.last: deque[float] = deque([0.0], maxlen=2)
        self.names = {"a"}
        self.numbers = {7, 15}  # both want one place, so the order tells which came first
        self.by_name: dict[str, list[float]] = defaultdict(list, {"a": [1.0]})

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.total += 1
        self.seen += 1  # type: ignore[operator]
        self.history.append(x)
        self.last.append(float(x.mean()))
        self.names.add("b")
        self.by_name["a"].append(1.0)
        self.by_name["b"].append(2.0)
        with torch.no_grad():
            self.second.weight.mul_(1.0)
        return super().forward(x)  # type: ignore[no-any-return]


def in_training() -> nn.Module:
    """In the middle of an epoch: mixed modes, frozen parts, gradients, hooks, other strides."""
    network = Keeps().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    network.norm.eval()
    network.first.requires_grad_(False)
    network.first.register_forward_hook(lambda *_: None)
    network.second.register_full_backward_hook(lambda *_: None)
    network(torch.rand(2, 3, 16, 16)).sum().backward()
    network.by_name["a"].clear()
    return network  # type: ignore[no-any-return]


def test_everything_is_as_it_was() -> None:
    network = in_training()
    before = portraits(network)
    with lent(network) as own:
        own.eval().requires_grad_(False).double()
        own.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        own(torch.rand(1, 3, 16, 16, dtype=torch.double))
        own.register_buffer("ours", torch.zeros(1))
        own.first = nn.Identity()
    assert portraits(network) == before


def test_everything_is_as_it_was_after_an_exception_too() -> None:
    network = in_training()
    before = portraits(network)

    def stopped() -> None:
        with lent(network) as own:
            own.eval().half()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert portraits(network) == before


def test_a_backward_pass_under_way_is_not_disturbed() -> None:
    network, images = in_training(), torch.rand(2, 3, 16, 16)
    network.zero_grad()
    loss = network(images).sum()
    with lent(network) as own:
        own.eval().double()
    loss.backward()
    got = [one.grad for one in network.parameters()]
    network.zero_grad()
    network(images).sum().backward()
    for one, weight in zip(got, network.parameters(), strict=True):
        assert one is weight.grad is None or torch.allclose(one, weight.grad)  # type: ignore[arg-type]


def test_tied_weights_stay_tied_and_lists_of_weights_follow() -> None:
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    first, second = network
    second.weight = first.weight
    network.both = [first.weight, first.bias]
    with lent(network):
        assert first.weight is second.weight is network.both[0]
        first.weight.data.zero_()
    assert first.weight.abs().sum() > 0
    assert network.both[0] is first.weight


HABITS = [
    *("Flattens", "LeavesSkips", "FillsDict", "closure", "HoldsLock", "PlainList", "weight_norm"),
    *("spectral_norm", "parametrized", "pruned", "BatchStatistics", "ForgetsEval", "DropsOut"),
    *("RollsDice", "Frozen", "Checkpointed", "Float64Constant", "Scripted", "quantised_head"),
    "compiled",
]


@pytest.mark.parametrize("name", HABITS)
def test_networks_as_people_write_them_answer_as_at_home_and_come_back(name: str) -> None:
    config = Config(model=f"tests.foreign:{name}", input_size=16)
    home = load_model(Config(model=f"tests.foreign:{name}", input_size=16))
    torch.manual_seed(0)  # as for the other
    network = bare(getattr(foreign, name)())
    network.train()
    before = portraits(network)
    with lent(network) as own:
        config = Config(model=f"{IN_MEMORY}X", input_size=16)
        away = load_model(config, own)
    assert portraits(network) == before
    assert away.info.weights_sha256 == home.info.weights_sha256
    assert away.behaviour == home.behaviour
    assert [layer.name for layer in away.layers] == [layer.name for layer in home.layers]


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()))  # type: ignore[no-any-return]


def test_a_script_comes_back_too() -> None:
    network = scripted().train()
    weight = next(network.parameters())
    with lent(network) as own:
        own.eval().double()
        next(own.parameters()).requires_grad_(False).zero_()
    assert all(module.training for module in network.modules())
    assert next(network.parameters()) is weight
    assert (weight.dtype, weight.requires_grad) == (torch.float32, True)
    assert weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (foreign.lazy, "Sequential: 0.weight has no shape yet; run a batch through the network"),
        (lambda: nn.Conv2d(3, 2, 1, device="meta"), "weight has no numbers (device meta)"),
    ],
)
def test_weights_without_numbers_are_refused(make: Callable[[], nn.Module], says: str) -> None:
    network = make()
    with pytest.raises(InputError) as caught, lent(network):
        pass
    assert says in str(caught.value)


def test_what_training_wraps_around_a_network_is_taken_off() -> None:
    network = foreign.Base()
    wrapped: list[Any] = [nn.DataParallel(network), torch.compile(network)]
    wrapped.append(torch.compile(nn.DataParallel(network)))
    assert [bare(one) for one in wrapped] == [network] * 3
