import pytest
import torch

from oaa_pl.training import loader_workers as module
from oaa_pl.training.loader_workers import loader_workers


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine of 16 cores and two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(module, "usable_cores", lambda: 16)
    return monkeypatch


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
@pytest.mark.parametrize("asked", [0, 3])
def test_a_number_that_is_given_stays(
    machine: pytest.MonkeyPatch, asked: int, accelerator: str
) -> None:
    assert loader_workers(asked, {"accelerator": accelerator}) == asked


def test_the_training_process_decodes_on_a_cpu(machine: pytest.MonkeyPatch) -> None:
    assert loader_workers(None, {"accelerator": "cpu"}) == 0


def test_a_gpu_that_is_asked_for_but_missing_counts_as_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert loader_workers(None, {"accelerator": "gpu", "devices": 1}) == 0


@pytest.mark.parametrize(
    ("cores", "devices", "workers"),
    [(16, 1, 8), (16, 2, 7), (16, "auto", 7), (4, 1, 3), (4, 2, 1), (1, 1, 1), (16, [1], 8)],
)
def test_a_gpu_has_workers_on_the_cores_that_no_training_needs(
    machine: pytest.MonkeyPatch, cores: int, devices: object, workers: int
) -> None:
    machine.setattr(module, "usable_cores", lambda: cores)
    assert loader_workers(None, {"accelerator": "gpu", "devices": devices}) == workers


def test_processes_on_other_machines_take_no_cores_here(machine: pytest.MonkeyPatch) -> None:
    settings = {"accelerator": "gpu", "devices": 2, "num_nodes": 4}
    assert loader_workers(None, settings) == 7
