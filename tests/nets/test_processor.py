"""Bfloat16 is chosen only where a processor, torch and the surroundings allow it natively."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from oaa_pl.nets import processor
from oaa_pl.nets.processor import bfloat16_on, processor_name

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)


def has(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    monkeypatch.setattr(processor, "_features", lambda: set(features))


@pytest.mark.parametrize("feature", ["amx_bf16", "avx512_bf16", "bf16", "sve_bf16"])
def test_a_processor_with_the_instructions_computes_it(
    monkeypatch: pytest.MonkeyPatch, feature: str
) -> None:
    has(monkeypatch, "avx2", feature)
    native, why = bfloat16_on("cpu")
    assert native
    assert why.startswith(processor_name())


def test_a_processor_without_them_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "avx2", "avx512_f", "avx512_vnni")
    native, why = bfloat16_on("cpu")
    assert not native
    assert why == f"{processor_name()} has no instructions for bfloat16"


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    ("limit", "native"),
    [
        ("SSE41", False), ("avx2", False), ("AVX2_VNNI_2", False), ("AVX512_CORE", False),
        ("AVX512_CORE_VNNI", False), ("AVX512_CORE_BF16", True), ("AVX512_CORE_AMX", True),
        ("AVX512_CORE_AMX_FP16", True), ("AVX10_1_512", True), ("ALL", True), ("nonsense", True),
    ],
)  # fmt: skip
def test_onednns_own_limit_counts(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: str, native: bool
) -> None:
    has(monkeypatch, "avx512_bf16")
    monkeypatch.setenv(name, limit)
    found, why = bfloat16_on("cpu")
    assert found == native
    assert native or why.endswith(f"has AVX512-BF16, but {name}={limit.upper()} forbids it")


def test_a_torch_without_onednn_imitates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "bf16")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    native, why = bfloat16_on("cpu")
    assert not native
    assert "this torch lacks oneDNN" in why


def test_apples_gpus_are_not_guessed_at() -> None:
    assert not bfloat16_on("mps").native


@pytest.mark.parametrize(("able", "native"), [([True], True), ([True, False], False)])
def test_every_gpu_that_may_train_must_compute_it(
    monkeypatch: pytest.MonkeyPatch, able: list[bool], native: bool
) -> None:
    asked = iter(able)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(able))
    monkeypatch.setattr(torch.cuda, "device", lambda index: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: next(asked))
    found, why = bfloat16_on("cuda")
    assert found == native
    assert why == ("GPU 0 computes bfloat16" if native else "GPU 1 has no bfloat16")


INTEL = "processor\t: 0\nmodel name\t: Some Xeon\nflags\t\t: fpu avx2 avx512_bf16 amx_bf16\n"
OLDER = "processor\t: 0\nmodel name\t: Some Core\nflags\t\t: fpu avx2\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 svebf16\n"


@pytest.mark.parametrize(("text", "native"), [(INTEL, True), (OLDER, False), (ARM, True)])
def test_linux_tells_where_torch_is_too_old_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, native: bool
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert bfloat16_on("cpu").native == native


@pytest.mark.parametrize(("answer", "native"), [("1", True), ("0", False), (None, False)])
def test_macos_tells_by_sysctl(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str | None, native: bool
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    program = tmp_path / "sysctl"
    lines = ["#!/bin/sh", 'case "$2" in hw.optional.arm.FEAT_BF16)']
    lines += [f"echo {answer};;" if answer else "exit 1;;", "*) echo Apple M9;; esac"]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert bfloat16_on("cpu").native == native
    assert processor_name() == "Apple M9"


def test_a_limit_is_met_where_onednn_meets_it() -> None:
    """In a process of its own: oneDNN reads its limit once."""
    code = "from oaa_pl.nets.processor import bfloat16_on; print(bfloat16_on('cpu').native)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    x86 = "avx2" in processor._features()
    assert done.stdout.strip() == "False" or not x86
