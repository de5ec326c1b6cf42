"""A stand-in for an accelerator: tensors of a device that this machine need not have.

`OnDevice` tensors say that they are on the device, and compute on the CPU. `StandIn` counts what
would make the host wait for a real device. A copy that does not block arrives only when the host
waits for the event that was recorded after it: who reads it before finds other numbers.
"""

from collections.abc import Callable
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

# What makes the host wait for a device: by names of Python, and by aten's names for what they call.
ASKED = {"tolist", "numpy", "__array__"}
WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim",
    "unique_consecutive", "_linalg_check_errors", "bincount", "repeat_interleave",
}  # fmt: skip


class OnDevice(Tensor):
    """A tensor that says that it is on the stand-in's device; its numbers are in `inner`."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> Self:
        made: Self = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]  # torch's own
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=device
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{func} was called outside of the stand-in's block")


class _Counted(TorchDispatchMode):
    """Notes which operations would make the host wait."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        if name in WAITING or by_mask or isinstance(found, bool | int | float):
            self._waits.append(name)
        return found


class StandIn(TorchFunctionMode):
    """A device; inside the block, tensors can be made on it.

    Args:
        device: what its tensors are to say, "cuda:0" for example.

    Attributes:
        waits: what made the host wait, in order; "copy" is a copy that blocks, "event" a wait for
            an event.
        copies: bytes of each copy to the host.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = torch.device(device)
        self.waits: list[str] = []
        self.copies: list[int] = []
        self._coming: list[Callable[[], object]] = []

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor on the device."""
        return OnDevice(tensor, self.device)

    def event(self) -> "Event":
        """In place of `torch.cuda.Event`."""
        return Event(self)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.__name__
        parts = _flat([args, kwargs])
        if not any(isinstance(one, OnDevice) or _is_device(one, str(self.device)) for one in parts):
            return func(*args, **kwargs)
        if getattr(func, "__self__", None) in (Tensor.device, Tensor.is_cuda, Tensor.is_mps):
            return func(*args)
        to_host = name == "cpu" or (name == "to" and any(_is_device(one, "cpu") for one in parts))
        if to_host and isinstance(args[0], OnDevice):
            return self._copied(args[0].inner, kwargs.get("non_blocking", False))
        if name in ASKED:
            self.waits.append(name)
        # With tensors of the CPU: torch would look for the real device.
        args, kwargs = (tree_map(self._on_cpu, part) for part in (args, kwargs))
        with _Counted(self.waits):
            found = func(*args, **kwargs)
        return tree_map(lambda one: self.place(one) if isinstance(one, Tensor) else one, found)

    def _copied(self, inner: Tensor, non_blocking: bool) -> Tensor:
        """A copy on the host."""
        self.copies.append(inner.nbytes)
        if not non_blocking:
            self.waits.append("copy")
            return inner.clone()
        late, found = torch.full_like(inner, 77), inner.clone()
        self._coming.append(lambda: late.copy_(found))
        return late

    def _on_cpu(self, one: Any) -> Any:
        if isinstance(one, OnDevice):
            return one.inner
        return torch.device("cpu") if _is_device(one, str(self.device)) else one


class Event:
    """A point of the stand-in's stream: what was copied before it has arrived after a wait."""

    def __init__(self, of: StandIn) -> None:
        self._of = of
        self._before: list[Callable[[], object]] = []

    def record(self, stream: object) -> None:
        self._before = list(self._of._coming)

    def synchronize(self) -> None:
        self._of.waits.append("event")
        for arrive in self._before:
            arrive()


def stand_in(monkeypatch: pytest.MonkeyPatch, device: str) -> StandIn:
    """A device, with torch's events of CUDA replaced by its own."""
    made = StandIn(device)
    monkeypatch.setattr(torch.cuda, "Event", made.event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: device)
    return made


def _is_device(one: Any, name: str) -> bool:
    return isinstance(one, str | torch.device) and str(one) == name


def _flat(nested: Any) -> list[Any]:
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, list | tuple):
        return [one for part in nested for one in _flat(part)]
    return [nested]
