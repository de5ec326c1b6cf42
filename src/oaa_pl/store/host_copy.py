"""One copy of several tensors from a device to the host.

A copy makes the host wait for the device, whatever its size. So all tensors of a step are copied
together.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["HostCopy"]


class HostCopy:
    """A copy that begins now; the host waits for it only when it reads the arrays.

    On a CUDA device the copy goes to pinned memory beside the computation. On other devices it is
    complete at once. Tensors of the host are not copied.

    Args:
        tensors: of one device, with any shapes and types; at least one.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._event: torch.cuda.Event | None = None
        device = tensors[0].device
        if device.type == "cpu":
            self._parts = list(tensors)
            return
        # Large items first: so each part begins at a multiple of its own item size.
        order = sorted(range(len(tensors)), key=lambda n: -tensors[n].element_size())
        packed = torch.cat([tensors[n].flatten().view(torch.uint8) for n in order])
        # To the CPU without blocking means: to pinned memory. On MPS it would mean memory that is
        # not filled yet, and that has no event to wait for.
        on_cuda = device.type == "cuda"
        whole = packed.to("cpu", non_blocking=on_cuda)
        if on_cuda:
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's own
            self._event.record(torch.cuda.current_stream(device))
        parts, begin = {}, 0
        for n in order:
            end = begin + tensors[n].numel() * tensors[n].element_size()
            parts[n] = whole[begin:end].view(tensors[n].dtype).view(tensors[n].shape)
            begin = end
        self._parts = [parts[n] for n in range(len(tensors))]

    def arrays(self) -> list[np.ndarray]:
        """The tensors as arrays of the host, in their order; waits until they are copied."""
        if self._event is not None:
            self._event.synchronize()
        return [part.numpy() for part in self._parts]
