"""Load the weights that a stage has trained; nothing in the file is executed."""

import pickle
from pathlib import Path

import torch
from torch import nn

from oaa_pl.errors import WeightsError

__all__ = ["load_into"]


def load_into(net: nn.Module, path: Path, prefix: str = "net.") -> nn.Module:
    """Load a stage's checkpoint, or the part of it below `prefix`, into a network.

    Args:
        net: of the same architecture as that part.
        path: the checkpoint.
        prefix: of the names in the checkpoint.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        inner = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        net.load_state_dict(inner)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist; train the stage first") from error
    except (  # all that a damaged or foreign file makes torch raise
        OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.PickleError,
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path} is no checkpoint of this network: {reason}") from error
    return net
