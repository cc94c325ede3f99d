"""Tuning: what the machine has, and a precision for each side."""

import pytest
import torch
from torch import Tensor, nn

from atlas import tuning
from atlas.errors import UsageError
from atlas.tuning import (
    batch_that_fits,
    check_precision,
    choose_batch,
    choose_device,
    choose_precisions,
    describe_device,
    time_step,
)
from tests.helpers import network_of, tiny_network

CPU = torch.device("cpu")


def test_cpu_is_always_there() -> None:
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "CPU", ""])
def test_device_that_is_not_here_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^--device '{name}' is not here; torch finds: cpu"):
        choose_device(name)


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(False, False, "cpu"), (True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")],
)
def test_auto_takes_the_accelerator(
    cuda: bool, mps: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == chosen
    if cuda:
        assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("precision", "device", "allowed"),
    [
        ("fp16", "cpu", False),
        ("bf16", "cpu", True),
        ("bf16", "mps", False),
        ("fp16", "mps", True),
        ("fp16", "cuda", True),
        ("auto", "cpu", True),
    ],
)
def test_precision_that_the_device_lacks_is_refused(
    precision: str, device: str, allowed: bool
) -> None:
    if allowed:
        check_precision(precision, torch.device(device))
    else:
        with pytest.raises(UsageError, match=rf"--precision {precision} is not supported on"):
            check_precision(precision, torch.device(device))


def test_cpu_is_described_by_name_and_threads() -> None:
    text = describe_device(CPU)
    assert text.startswith("cpu (")
    assert text.endswith(f", {torch.get_num_threads()} threads)")


def test_precision_asked_for_is_used_for_all_sides() -> None:
    network = network_of(tiny_network(), ["relu1"])
    assert choose_precisions(network, "relu1", [8, 16], "bf16", 2) == {8: "bf16", 16: "bf16"}


@pytest.mark.parametrize(
    ("half", "chosen"), [(0.5, "bf16"), (0.89, "bf16"), (0.95, "fp32"), (2.0, "fp32")]
)
def test_lower_precision_has_to_be_a_tenth_faster(
    half: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(tiny_network(), ["relu1"])
    seconds = {"fp32": 1.0, "bf16": half}
    monkeypatch.setattr(tuning, "has_fast_lower_precision", lambda device: "bf16")
    monkeypatch.setattr(tuning, "time_step", lambda *arguments: seconds[arguments[3]])
    assert choose_precisions(network, "relu1", [8, 16], "auto", 2) == {8: chosen, 16: chosen}


def test_machine_without_a_lower_precision_uses_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(tiny_network(), ["relu1"])
    monkeypatch.setattr(tuning, "has_fast_lower_precision", lambda device: "")
    assert choose_precisions(network, "relu1", [8], "auto", 2) == {8: "fp32"}


def test_side_that_the_network_refuses_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.view(-1, 3, 16, 16)

    network = network_of(nn.Sequential(Fixed()), ["0"])
    monkeypatch.setattr(tuning, "has_fast_lower_precision", lambda device: "bf16")
    chosen = choose_precisions(network, "0", [8, 16], "auto", 1)
    assert chosen[8] == "fp32"
    assert set(chosen) == {8, 16}


def test_a_step_takes_time_and_leaves_no_hooks() -> None:
    network = network_of(tiny_network(), ["relu1"])
    assert time_step(network, "relu1", 8, "fp32", 2) > 0
    assert not any(module._forward_hooks for module in network.network.modules())


@pytest.mark.parametrize(
    ("free", "each", "batch"),
    [(1000, 100, 8), (1000, 1000, 1), (100, 1000, 1), (10**9, 1, 64), (1600, 100, 8)],
)
def test_batch_is_a_power_of_two_in_four_fifths_of_the_free_memory(
    free: int, each: int, batch: int
) -> None:
    assert batch_that_fits(free, each) == batch


def test_batch_is_as_given_or_the_measured_one_of_cpus() -> None:
    network = network_of(tiny_network(), ["relu1"])
    assert choose_batch(3, network, "relu1", 16) == 3
    assert choose_batch("auto", network, "relu1", 16) == tuning.CPU_BATCH
