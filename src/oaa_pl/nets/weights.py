"""Weights of a trunk: from torchvision, from a local file, or none.

A file is read without executing anything in it (`weights_only`). It must fit the network key by
key: a trunk with some random layers would train without an error and give wrong results.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from oaa_pl.errors import WeightsError
from oaa_pl.files.home import expanded_path

__all__ = ["find_weights", "load_state", "load_weights", "read_weights", "with_weights"]

# torchvision's published files hold the ImageNet classifier too; a trunk ends before it.
_CLASSIFIER = ("classifier.", "fc.")
_SHOWN = 6


def load_weights(
    module: nn.Module,
    weights: str | Path,
    published: WeightsEnum | None = None,
    beyond: tuple[str, ...] = (),
) -> None:
    """Load weights into `module`, strictly.

    Half precision is converted to the module's own dtype.

    Args:
        module: changed in place.
        weights: `none` (change nothing), `imagenet` (torchvision's file, downloaded once to its
            cache), or a path to a local `.safetensors`, `.pth` or `.pt` file of tensors.
        published: torchvision's weights that `imagenet` means for this module.
        beyond: prefixes of names that belong to later layers of the whole network; they are
            ignored.

    Raises:
        WeightsError: if the file is missing, unreadable or not a weights file; if a key is missing,
            unexpected or of another shape; if a value is not finite; or if `imagenet` is given
            and there are no published weights or the download fails.
    """
    if str(weights) == "none":
        return
    found = find_weights(module, weights, published)
    left_out = beyond + (_CLASSIFIER if str(weights) == "imagenet" else ())
    load_state(module, found, str(weights), left_out)


def load_state(
    module: nn.Module, state: Mapping[str, Tensor], origin: str, beyond: tuple[str, ...] = ()
) -> None:
    """Load named tensors into `module`, strictly.

    Args:
        module: changed in place.
        state: name to tensor of any shape.
        origin: file or name of the weights, for the error.
        beyond: as in `load_weights`.

    Raises:
        WeightsError: if a key is missing, unexpected or of another shape, or a value not finite.
    """
    inside = {name: value for name, value in state.items() if not name.startswith(beyond)}
    _check_fit(module, inside, origin)
    module.load_state_dict(inside)


def find_weights(
    module: nn.Module, weights: str | Path, published: WeightsEnum | None = None
) -> dict[str, Tensor]:
    """Read the weights that `weights` names for `module`, without changes.

    Args:
        module: for the error.
        weights: `imagenet` or a path; see `load_weights`.
        published: torchvision's weights for `imagenet`.

    Returns:
        Name to tensor, on the CPU, in the file's own dtype.

    Raises:
        WeightsError: if they do not exist or cannot be read.
    """
    if str(weights) == "imagenet":
        return _published_weights(module, published)
    return read_weights(Path(weights))


def with_weights(module: nn.Module, weights: str | Path) -> nn.Module:
    """Load weights from a local file into a trunk that does not load its own.

    Args:
        module: changed in place.
        weights: `none` or a path; see `load_weights`.

    Returns:
        The module itself, for use in a configuration.

    Raises:
        WeightsError: as in `load_weights`; `imagenet` is refused.
    """
    load_weights(module, weights)
    return module


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors without executing anything in it.

    Args:
        path: a `.safetensors`, `.pth` or `.pt` file; `~` is expanded.

    Returns:
        Name to tensor, on the CPU, in the file's own dtype.

    Raises:
        WeightsError: if the file is missing, unreadable, not a weights file, or has anything but
            named tensors.
    """
    path = expanded_path(path)
    if path.suffix not in {".safetensors", ".pth", ".pt"}:
        raise WeightsError(
            f"net.weights must be 'imagenet', 'none' or a .safetensors/.pth/.pt file, got '{path}'"
        )
    if not path.is_file():
        raise WeightsError(
            f"weights file '{path}' does not exist; give the path of a local file, "
            f"net.weights=imagenet to download torchvision's, or net.weights=none"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(
            f"weights file '{path}' cannot be read as named tensors "
            f"({_first_line(error)}); copy it again or save a plain state_dict"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsError(
            f"weights file '{path}' must hold a dict of name to tensor, got "
            f"{type(state).__name__}; save the network's state_dict() alone"
        )
    return dict(state)


def _published_weights(module: nn.Module, published: WeightsEnum | None) -> dict[str, Tensor]:
    if published is None:
        raise WeightsError(
            f"no ImageNet weights are published for {type(module).__name__}; "
            f"use net.weights=none or the path of a local file"
        )
    try:
        return dict(published.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:  # urllib's URLError is an OSError
        raise WeightsError(
            f"torchvision's weights {published} could not be downloaded ({_first_line(error)}); "
            f"check the network, or use net.weights=none or the path of a local file"
        ) from error


def _check_fit(module: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    own = module.state_dict()
    faults = {
        "missing": sorted(own.keys() - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
        "not finite": [
            key
            for key, value in state.items()
            if value.is_floating_point() and not bool(torch.isfinite(value).all())
        ],
    }
    found = "; ".join(f"{fault}: {_listed(keys)}" for fault, keys in faults.items() if keys)
    if found:
        raise WeightsError(
            f"weights '{origin}' do not fit {type(module).__name__}, key by key: {found}; "
            f"use weights saved for this trunk, with torchvision's names"
        )


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
