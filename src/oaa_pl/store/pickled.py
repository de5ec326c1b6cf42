"""Read a pickled dictionary of arrays, as `np.save` writes it, and nothing else.

A pickle is a program: an ordinary reader runs whatever is in it. This one admits what builds arrays
of numpy and tensors of torch, and refuses every other name before it is called.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.errors import StoreError

__all__ = ["read_arrays"]


class _RefusedError(Exception):
    """A pickle names something else than arrays."""


class _ArraysOnly(pickle.Unpickler):
    """Knows what builds arrays; bytes of tensors go through torch's own restricted reader."""

    @override
    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 has renamed `numpy.core`; pickles of both exist.
        module = module.replace("numpy.core.", "numpy._core.", 1)
        known = _known().get((module, name))
        if known is None:
            raise _RefusedError(f"{module}.{name}")
        return known


def read_arrays(path: Path) -> dict[object, NDArray[Any]]:
    """Read a `.npy` file that holds one dictionary of arrays.

    Args:
        path: the file. Keys are text or whole numbers; values are arrays or tensors, of any shape.

    Returns:
        The dictionary, in its order.

    Raises:
        StoreError: if the file is damaged, is not such a dictionary, or its pickle holds more than
            arrays; nothing of it was run.
    """
    try:
        with path.open("rb") as file:
            content = _content(file.read(), path)
            if isinstance(content, dict):
                return {key: _array(value) for key, value in content.items()}
    except _RefusedError as error:
        raise StoreError(
            f"{path} is a pickle that holds more than arrays ({error}), which could run any code: "
            "nothing of it was run; save a dictionary of arrays"
        ) from error
    except StoreError:
        raise
    except Exception as error:  # a pickle is a program: a damaged one can fail in any way
        raise StoreError(
            f"{path} is not a readable .npy file of maps ({type(error).__name__}); save a "
            "dictionary of arrays"
        ) from error
    raise StoreError(
        f"{path} holds {type(content).__name__}, expected a dictionary of arrays: save "
        "{'keys': classes, 'cam': maps} with np.save"
    )


def _array(value: Any) -> NDArray[Any]:
    """A value as an array; numpy knows no bfloat16, and reads no tensor with a gradient."""
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.float() if value.is_floating_point() else value
    return np.asarray(value)


def _content(content: bytes, path: Path) -> object:
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if not dtype.hasobject or shape != ():
        raise StoreError(
            f"{path} holds one array {shape} of {dtype}, expected a dictionary of arrays: it does "
            "not say which classes its maps are of"
        )
    loaded = _ArraysOnly(file).load()
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.shape == () else loaded


def _known() -> dict[tuple[str, str], Callable[..., Any]]:
    """Everything that a pickle may name. Imports torch, which only a pickle of tensors needs."""
    import torch

    def tensor_bytes(content: bytes) -> Any:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

    return {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]  # private, as pickles name it
        ("numpy._core.multiarray", "scalar"): np._core.multiarray.scalar,  # type: ignore[attr-defined]  # private as well
        ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,  # type: ignore[attr-defined]  # private as well
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch.storage", "_load_from_bytes"): tensor_bytes,
    }
