"""The stand-in for a device counts whatever makes the host wait."""

from collections.abc import Callable

import pytest
import torch
from tests.store.device import StandIn
from torch import Tensor

WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "truth": lambda x: bool(x.any()),
    "if": lambda x: 1 if (x > 0).all() else 0,
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "numpy": lambda x: x.numpy(force=True),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "mask": lambda x: x[x > 0],
    "assignment by a mask": lambda x: x.clone().__setitem__(x > 0, torch.rand(4)),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "inverse": lambda x: torch.linalg.inv(x),
    "index": lambda x: [0, 1, 2, 3][x.argmax()],
}


@pytest.mark.parametrize("ask", WAITS.values(), ids=list(WAITS))
def test_a_question_to_the_device_counts(ask: Callable[[Tensor], object]) -> None:
    with StandIn("cuda:0") as there:
        asked = there.place(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
        ask(asked)
    assert len(there.waits) >= 1


def test_computing_on_the_device_does_not_count() -> None:
    with StandIn("cuda:0") as there:
        x = there.place(torch.rand(3, 4))
        more = torch.arange(4, device=there.device) + torch.as_tensor([1.0]).to(there.device)
        y = (
            (x + more)
            .sort(dim=1)[0]
            .gather(1, torch.zeros(3, 1, dtype=torch.long, device="cuda:0"))
        )
        assert (
            y.where(y > 0, 0).amax(dim=1)[torch.tensor([0, 2]).to("cuda:0")].device.type == "cuda"
        )
    assert there.waits == there.copies == []
