"""Linux and macOS are supported, Windows is refused by name; freed memory is kept on Linux."""

import os
import platform
import subprocess
import sys

import pytest

from oaa_pl.errors import UnsupportedSystemError
from oaa_pl.machine import keep_freed_memory, one_thread_each, require_posix, usable_cores

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


# Resident memory in MB that stays when the first block of 24 MB was freed. A count of page faults
# would depend on the size of the system's pages.
FREED = """
import ctypes, os, sys
from oaa_pl.machine import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
before = resident()
block = libc.malloc(24 << 20)
ctypes.memset(block, 1, 24 << 20)
libc.free(block)
print(resident() - before)
"""


def left(how: str) -> float:
    unset = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", FREED, how], env=unset, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_for_the_next_block() -> None:
    assert left("kept") > 22
    assert left("given back") < 4


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_ones_own_for_memory_are_kept(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "")
    assert not keep_freed_memory()


def test_a_system_without_glibc_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    for variable in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(variable)
    assert not keep_freed_memory()
