"""Find out whether this machine computes bfloat16 natively.

Native bfloat16 is two to five times as fast as float32. Without instructions for it, bfloat16 is
emulated, an order of magnitude slower than float32. See docs/how-to/precision-and-threads.md.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["Bfloat16", "bfloat16_on", "processor_name"]

# Names of instruction sets for bfloat16, from torch, /proc/cpuinfo and sysctl.
_NATIVE = {
    "amx_bf16": "AMX-BF16",
    "avx512_bf16": "AVX512-BF16",
    "bf16": "BF16 of Arm",
    "sve_bf16": "SVE-BF16",
    "svebf16": "SVE-BF16",
    "hw.optional.arm.FEAT_BF16": "BF16 of Arm",
}
_CPUINFO = Path("/proc/cpuinfo")

# Values of oneDNN's own limit that still allow bfloat16.
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_ALLOWING = ("DEFAULT", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX")


class Bfloat16(NamedTuple):
    """How a device computes bfloat16.

    Attributes:
        native: whether the device has instructions for it that torch may use.
        why: the device's name and what it has or lacks, as a sentence without a full stop.
    """

    native: bool
    why: str


def bfloat16_on(device: str) -> Bfloat16:
    """Whether a kind of device of this machine computes bfloat16 natively.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    if device == "cuda":
        return _on_gpus()
    if device == "mps":
        return Bfloat16(False, "bfloat16 was not tried on Apple's GPUs")
    return _on_cpu(os.environ)


def _on_gpus() -> Bfloat16:
    """All visible GPUs count: the ones that will train are not chosen yet."""
    for index in range(torch.cuda.device_count()):
        with torch.cuda.device(index):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                return Bfloat16(False, f"{torch.cuda.get_device_name(index)} has no bfloat16")
    return Bfloat16(True, f"{torch.cuda.get_device_name(0)} computes bfloat16")


def _on_cpu(environment: Mapping[str, str]) -> Bfloat16:
    name = processor_name()
    found = [what for key, what in _NATIVE.items() if key in _features()]
    if not found:
        return Bfloat16(False, f"{name} has no instructions for bfloat16")
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's own
        return Bfloat16(False, f"{name} has {found[0]}, but this torch lacks oneDNN, which uses it")
    for variable in _LIMITS:
        limit = environment.get(variable, "ALL").upper()
        # oneDNN ignores a limit that it does not know.
        if limit.startswith(("SSE", "AVX")) and not limit.startswith((*_ALLOWING, "AVX10")):
            return Bfloat16(False, f"{name} has {found[0]}, but {variable}={limit} forbids it")
    # ATEN_CPU_CAPABILITY does not matter here: convolutions are oneDNN's. It slows only the layers
    # between them, and bfloat16 stays faster than float32.
    return Bfloat16(True, f"{name} has {found[0]}")


def processor_name() -> str:
    """The name of the processor."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _features() -> set[str]:
    """The instruction sets of this processor, as torch, Linux or macOS name them."""
    if hasattr(torch.cpu, "get_capabilities"):  # not in the oldest torch that we support
        return {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    found: set[str] = set()
    for line in _cpuinfo():
        if line.startswith(("flags", "Features")):
            found |= set(line.partition(":")[2].split())
    apple = "hw.optional.arm.FEAT_BF16"
    return found | ({apple} if _sysctl(apple) == "1" else set())


def _cpuinfo() -> list[str]:
    """Lines of Linux's description of the processor; empty on other systems."""
    with suppress(OSError):
        return _CPUINFO.read_text(errors="replace").splitlines()
    return []


def _sysctl(name: str) -> str:
    """One value of macOS's description of the machine; empty on other systems."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, check=True, timeout=5
        )
        return done.stdout.strip()
    return ""
