import numpy as np
import pytest
import torch
from tests.store.device import stand_in

from oaa_pl.store.host_copy import HostCopy

TENSORS = (
    torch.tensor([True, False, True]),
    torch.rand(2, 3, 5),
    torch.tensor(7),
    torch.zeros(0, 4),
    torch.rand(3, 4, dtype=torch.float64).T,
    torch.arange(5, dtype=torch.int16),
    torch.rand(5).half(),
)


@pytest.mark.parametrize("device", ["cuda:0", "mps:0"])
def test_tensors_of_any_shape_and_type_arrive_in_one_copy(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    with stand_in(monkeypatch, device) as there:
        copy = HostCopy([there.place(tensor) for tensor in TENSORS])
        arrays = copy.arrays()
    for array, tensor in zip(arrays, TENSORS, strict=True):
        assert array.dtype == tensor.numpy().dtype
        assert np.array_equal(array, tensor.numpy())
    assert len(there.copies) == 1
    assert there.copies[0] == sum(tensor.nbytes for tensor in TENSORS)


def test_on_cuda_the_host_waits_only_when_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in(monkeypatch, "cuda:0") as there:
        copy = HostCopy([there.place(torch.tensor([1.0, 2.0]))])
        assert there.waits == []
        assert copy.arrays()[0].tolist() == [1, 2]
    assert there.waits == ["event"]


def test_other_devices_have_no_event_so_their_copy_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in(monkeypatch, "mps:0") as there:
        copy = HostCopy([there.place(torch.tensor([1.0, 2.0]))])
        assert there.waits == ["copy"]
        assert copy.arrays()[0].tolist() == [1, 2]
    assert there.waits == ["copy"]


def test_tensors_of_the_host_are_not_copied() -> None:
    tensor = torch.rand(3, 4)
    (array,) = HostCopy([tensor]).arrays()
    assert array.ctypes.data == tensor.data_ptr()
