"""What the page draws of all seeds of a run: threshold curves, and the accepted share over time."""

import csv
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import ConfigError, RunMismatchError
from oaa_pl.report.curves import IouCurve, mean_curve
from oaa_pl.runs.folders import Run
from oaa_pl.runs.stage_folder import read_json

__all__ = ["accepted_by_seed", "mean_curves"]

log = logging.getLogger(__name__)


def mean_curves(run: Run, methods: Sequence[str]) -> dict[str, IouCurve]:
    """Each method's threshold curve, averaged over the seeds. Damaged files are named and skipped.

    Args:
        run: one of the seeds.
        methods: names, in order.
    """
    found: dict[str, list[IouCurve]] = defaultdict(list)
    for seed in _seeds(run):
        for method in methods:
            path = seed / "attention" / method / "curve.json"
            if not path.is_file():
                continue
            try:
                curve = read_json(path)
                miou = [100 * float(value) for value in curve["miou"]]
                found[method].append(IouCurve(curve["thresholds"], miou))
            except (RunMismatchError, ConfigError, KeyError, TypeError, ValueError) as error:
                log.warning("skipped: %s is not a curve (%s)", path, error)
    return {method: mean_curve(curves) for method, curves in found.items()}


def accepted_by_seed(run: Run) -> dict[int, list[float]]:
    """Share of the maps that the gate accepted in each epoch. Damaged files are named and skipped.

    Args:
        run: one of the seeds.

    Returns:
        Seed -> share in [0, 1] of each epoch; without the seeds that have no such record.
    """
    found = {}
    for seed in _seeds(run):
        path = seed / "classifier" / "history.csv"
        if not path.is_file():
            continue
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["name"] == "oaa/accepted"]
            shares = {int(row["step"]): float(row["value"]) for row in rows}
            number = int(seed.name.removeprefix("seed-"))
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            log.warning("skipped: %s is not a history (%r)", path, error)
            continue
        if shares:
            found[number] = [shares[step] for step in sorted(shares)]
    return found


def _seeds(run: Run) -> list[Path]:
    return sorted(run.root.parent.glob("seed-*"))
