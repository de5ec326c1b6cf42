"""The run's own log: one CSV that a resumed run continues without a gap or a repeat."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only
from typing_extensions import override

__all__ = ["SCORES", "HistoryLogger"]

SCORES = "scores"
"""Name of the stage of the final scores, for loggers: a run of its own on W&B."""

_FIELDS = ("step", "name", "value")


class HistoryLogger(Logger):
    """Append every logged value to `<folder>/history.csv` as `step,name,value`.

    Lightning's CSV logger deletes the log of an interrupted run when it is resumed. This one
    drops the rows from the first step that it logs on, which a crash left behind, and appends.
    Lightning logs an epoch's means just after its checkpoint: a kill between the two loses these.

    Args:
        folder: where `history.csv` goes.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "history.csv"
        self._open = False

    @property
    @override
    def name(self) -> str:
        return "history"

    @property
    @override
    def version(self) -> str:
        return ""

    @override
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass  # the stage's record has the whole configuration

    @rank_zero_only
    @override
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = step or 0
        if not self._open:
            self._drop_from(step)
            self._open = True
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                (step, name, f"{value:.6g}") for name, value in metrics.items() if name != "epoch"
            )

    def _drop_from(self, step: int) -> None:
        """Start the file, or drop the rows that a crashed run logged at or after this step."""
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                # A row that a crash cut short has no value, or no step.
                whole = [row for row in csv.DictReader(file) if row.get("value")]
            rows = [row for row in whole if row["step"].isdecimal() and int(row["step"]) < step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
