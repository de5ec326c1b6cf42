"""A warning where maps are lost because they were not committed."""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Pending"]

log = logging.getLogger(__name__)


@dataclass
class Pending:
    """Whether a store has maps that are not committed.

    Kept apart from the store, so that it can still warn when the store is gone.

    Attributes:
        path: the store's folder.
        maps: whether there are such maps.
        process: the process that accumulates; a fork of it has no maps of its own to lose.
    """

    path: Path
    maps: bool = False
    process: int = field(default_factory=os.getpid)

    def warn_of_loss(self) -> None:
        """Log that maps are lost, if there are any."""
        if self.maps and self.process == os.getpid():
            self.maps = False
            log.warning(
                "%s: the maps since the last commit are lost; call store.commit() after each epoch",
                self.path,
            )
