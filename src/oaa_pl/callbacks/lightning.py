"""Lightning's classes, from the package that the program uses.

`pytorch_lightning` and `lightning.pytorch` are one library under two names. A callback works in a
trainer of either, but is an instance of one `Callback` only.
"""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

__all__ = ["Callback", "LightningModule", "Trainer"]


def _uses_lightning() -> bool:
    """Whether to take `lightning.pytorch`: it alone is imported already, or installed."""
    if "pytorch_lightning" in sys.modules:
        return False
    return "lightning.pytorch" in sys.modules or find_spec("pytorch_lightning") is None


if not TYPE_CHECKING and _uses_lightning():
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    from pytorch_lightning import Callback, LightningModule, Trainer
