"""What makes the host wait for a CUDA device, as torch itself reports it, and who asked for it."""

import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

import torch

_TORCH = f"{Path(torch.__file__).parent}/"
_REPORT = "called a synchronizing CUDA operation"


class Wait(NamedTuple):
    """One wait of the host.

    Attributes:
        label: of the block, when it came.
        file: of the innermost call outside of torch.
        line: in that file.
    """

    label: object
    file: str
    line: int


class Waits:
    """Inside the block, notes every operation that makes the host wait for a device.

    torch does not count a wait for an event, which is how `HostCopy` waits.

    Attributes:
        all: the waits, in order.
        label: kept with each wait from now on.
    """

    def __init__(self) -> None:
        self.all: list[Wait] = []
        self.label: object = None
        self._warnings = warnings.catch_warnings()

    def files(self) -> list[str]:
        """The names of the files that waited, in order."""
        return [Path(wait.file).name for wait in self.all]

    def __enter__(self) -> Self:
        self._warnings.__enter__()
        warnings.simplefilter("always")
        warnings.showwarning = self._note
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("warn")
        return self

    def __exit__(self, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")
        self._warnings.__exit__(None, None, None)

    def _note(self, message: Warning | str, *_: Any, **__: Any) -> None:
        if _REPORT not in str(message):
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _passed_over(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is not None:
            self.all.append(Wait(self.label, frame.f_code.co_filename, frame.f_lineno))


def _passed_over(file: str) -> bool:
    return file.startswith(_TORCH) or file == warnings.__file__ or file.startswith("<")
