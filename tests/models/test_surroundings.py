"""Changes that somebody's code makes around it are undone."""

import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.models.surroundings import kept


def disturb(folder: Path) -> None:
    """Everything that importing a module has been seen to do."""
    os.chdir(folder)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("medium")
    torch.autograd.set_detect_anomaly(True)
    torch.use_deterministic_algorithms(True)
    np.seterr(all="raise")
    sys.argv.append("--its-own")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("error")
    raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_settings_are_as_before_also_after_an_exception(tmp_path: Path) -> None:
    folder, handler, filters = os.getcwd(), signal.getsignal(signal.SIGTERM), list(warnings.filters)
    errors, words = np.geterr(), sys.argv
    with pytest.raises(ZeroDivisionError), kept():
        disturb(tmp_path)
    assert os.getcwd() == folder
    assert torch.zeros(1).dtype == torch.float32
    assert torch.zeros(1).device.type == "cpu"
    assert torch.is_grad_enabled()
    assert sys.argv is words
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.is_anomaly_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.geterr() == errors
    assert signal.getsignal(signal.SIGTERM) == handler
    assert list(warnings.filters) == filters


def test_what_is_printed_is_a_message_and_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    with kept():
        assert len(sys.argv) == 1
        print("hello from a module")
    print("data", file=sys.stdout)
    out, messages = capsys.readouterr()
    assert (out, messages) == ("data\n", "hello from a module\n")
