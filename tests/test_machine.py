"""Linux and macOS are supported; Windows is refused by name."""

import os
import subprocess
import sys

import pytest

from oaa_pl.errors import UnsupportedSystemError
from oaa_pl.machine import one_thread_each, require_posix, usable_cores

# What the command line loads of others is loaded first: it would behave as on Windows as well.
ON_WINDOWS = """
import sys
import albumentations, cv2, hydra, pytorch_lightning, torch, torchmetrics, wandb
import oaa_pl.config.compose, oaa_pl.commands.main
sys.platform = "win32"
for command in (["store", "info", "x"], ["fit"], ["predict"]):
    print(oaa_pl.commands.main.main(command))
"""


@pytest.mark.parametrize("system", ["win32", "cygwin"])
def test_windows_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(UnsupportedSystemError, match=f"Linux and macOS, got '{system}'.* WSL 2"):
        require_posix()


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_linux_and_macos_are_not(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    require_posix()


@pytest.mark.slow
def test_a_command_on_windows_ends_with_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_WINDOWS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["2"] * 3
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("oaa: oaa_pl runs on Linux and macOS, got 'win32'")


def test_cores_that_this_process_may_use_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 6}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_the_surroundings_are_as_before_when_the_processes_have_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread_each():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ
    with pytest.raises(ZeroDivisionError, match="division"), one_thread_each():
        _ = 1 / 0
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ
