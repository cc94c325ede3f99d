"""Tuning: what the machine has, and what `auto` means there."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from atlas.errors import UsageError
from atlas.network import tuning
from atlas.network.tuning import (
    batch_that_fits,
    check_precision,
    choose_batch,
    choose_device,
    choose_precision,
    describe_device,
    kept_bytes,
    most_together,
    suited_batch,
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


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_precision_asked_for_is_used(precision: str, device: str) -> None:
    assert choose_precision(precision, torch.device(device)) == precision


@pytest.mark.usefixtures("processor")
def test_auto_is_fp32_on_every_processor() -> None:
    assert choose_precision("auto", CPU) == "fp32"


def test_auto_is_fp32_on_mps() -> None:
    assert choose_precision("auto", torch.device("mps")) == "fp32"


@pytest.mark.parametrize(
    ("capability", "chosen"),
    [((7, 5), "fp32"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((9, 0), "bf16")],
)
def test_auto_is_bf16_on_gpus_that_have_it(
    capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda:1")) == chosen


@pytest.mark.parametrize(
    ("total", "each", "batch"),
    [(4000, 100, 8), (4000, 1000, 1), (400, 1000, 1), (10**9, 1, 256), (6400, 100, 16)],
)
def test_batch_is_a_power_of_two_in_a_quarter_of_the_memory(
    total: int, each: int, batch: int
) -> None:
    assert batch_that_fits(total, each) == batch


def test_bytes_that_a_step_keeps_are_those_of_the_inputs_of_its_operations() -> None:
    network = network_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 2, 1)), ["2"])
    few, more = (kept_bytes(network, "2", 8, images) for images in (2, 5))
    assert more - few == 3 * 4 * 8 * 8 * (3 + 4)  # of the convolutions, 4 bytes a value


def test_batch_on_a_gpu_follows_the_memory_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 2, 1)), ["2"])
    each = 4 * 16 * 16 * (3 + 4)
    kept = kept_bytes(network, "2", 16, 16)
    assert kept // 16 == each
    monkeypatch.setattr(tuning, "kept_bytes", lambda *arguments: kept)
    monkeypatch.setattr(network, "device", torch.device("cuda"))
    for total, batch in ((4 * 8 * each, 8), (4 * 8 * each - 4, 4)):
        card = SimpleNamespace(total_memory=total)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, card=card: card)
        assert choose_batch("auto", network, "2", 16) == batch


def test_batch_is_as_given_or_the_measured_one_of_cpus() -> None:
    network = network_of(tiny_network(), ["relu1"])
    assert choose_batch(3, network, "relu1", 16) == 3
    assert choose_batch("auto", network, "relu1", 16) == tuning.CPU_BATCH


def test_layers_of_few_units_have_batches_of_one_size_on_a_gpu() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [suited_batch(128, units, gpu) for units in (1, 21, 32, 33, 512)] == [
        16,
        16,
        16,
        128,
        128,
    ]
    assert suited_batch(4, 10, gpu) == 4
    assert suited_batch(8, 10, cpu) == 8


def test_units_are_gathered_up_to_the_largest_batch() -> None:
    assert most_together("auto", torch.device("cuda")) == 256
    assert most_together("auto", torch.device("cpu")) == 12
    assert most_together(48, torch.device("cuda")) == 48
