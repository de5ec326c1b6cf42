"""The final scores of a run, every method's, sent to its loggers."""

import csv

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import Logger

from oaa_pl.callbacks.history import SCORES, HistoryLogger
from oaa_pl.stages.parts import Config
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.training.loggers import filled_in, log_configuration, make_all

__all__ = ["log_scores"]


def log_scores(pipeline: Pipeline) -> None:
    """Send the scores of a run to each of its loggers; the CSV of each stage has them already.

    Args:
        pipeline: of the run, which has been scored.

    Raises:
        ConfigError: if a logger cannot be made.
    """
    parts, run = pipeline.parts, pipeline.parts.run
    recipes = {
        name: filled_in(one, run.root / SCORES, run.label, SCORES)
        for name, one in parts.trainer.loggers.items()
        if one.name != HistoryLogger.__name__
    }
    if recipes:
        (run.root / SCORES).mkdir(parents=True, exist_ok=True)
    loggers = make_all(recipes, Logger, "logger")  # type: ignore[type-abstract]
    if not loggers:
        return
    scores = _scores(pipeline)
    log_configuration(loggers, Config(parts.values).text())
    for logger in loggers:
        logger.log_metrics(scores)
        if isinstance(logger, WandbLogger):
            # Imported here: W&B takes a second that other loggers need not wait for.
            from oaa_pl.callbacks.wandb import StageLogger
            from oaa_pl.stages.wandb_run import complete

            if isinstance(logger, StageLogger):
                complete(logger, pipeline)
        logger.finalize("success")


def _scores(pipeline: Pipeline) -> dict[str, float]:
    """Every score by `<method>/<metric>`; some by their metric alone."""
    found = {}
    for stage in pipeline.scored():
        path = stage.scored_folder / "metrics.csv"
        if not path.is_file():
            continue
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                name = f"{row['method']}/{row['metric']}" if row["method"] else row["metric"]
                found[name] = float(row["value"])
    optimised = pipeline.metric(pipeline.scored())
    if optimised is not None:
        found[str(pipeline.parts.values.get("optimized_metric"))] = optimised
    return found
