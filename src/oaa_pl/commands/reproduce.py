"""`oaa reproduce`: every stage in order; finished ones skipped, an interrupted one resumed."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from oaa_pl.commands.report import write_report
from oaa_pl.config.compose import compose_group, overridden
from oaa_pl.data.fitness import check_fit
from oaa_pl.errors import ConfigError
from oaa_pl.metrics import require_threshold
from oaa_pl.plan.estimate import announce
from oaa_pl.report.methods import method_of
from oaa_pl.report.results import collect
from oaa_pl.runs.folders import Run
from oaa_pl.stages import build
from oaa_pl.stages.attend import attend_method
from oaa_pl.stages.classifier import fit_classifier
from oaa_pl.stages.evaluate import evaluate_run
from oaa_pl.stages.integral import fit_integral
from oaa_pl.stages.label import label_method, ready_cue
from oaa_pl.stages.segmenter import fit_segmenter
from oaa_pl.stages.views import views_of

__all__ = ["run", "steps"]

log = logging.getLogger(__name__)

Step = tuple[str, Callable[[], Path]]


def run(cfg: DictConfig) -> None:
    """Run every stage that `cfg.methods` needs, score them, and write the report.

    Raises:
        MissingInputError: if the background cue lacks a photo; reported before the first stage,
            since the cue's turn comes after hours of training.
        BadMaskError: if a mask or a saliency map is of no use; reported then as well.
        ConfigError: if a CRF cannot be made, a value of `evaluate` is out of range, or an id is
            too long for a file name; reported then as well.
    """
    todo = list(steps(cfg))
    require_threshold(cfg.evaluate.threshold)
    views_of(cfg)
    build.require_extras(cfg)
    run = Run.of(cfg)
    if not all((run.labels(method) / "done.json").is_file() for method in cfg.methods):
        train, val = build.sources(cfg)
        for source in (train, val):
            if source is not None:
                check_fit(source)
        ready_cue(cfg, train)
    announce(cfg, [loss for name in cfg.methods if (loss := method_of(name).loss)])
    for number, (what, step) in enumerate(todo, 1):
        log.info("[%d/%d] %s", number, len(todo), what)
        step()
    log.info("scores")
    home = run.home
    if evaluate_run(cfg):
        collect(home)
        log.info("%s", home / "results.csv")
    else:
        log.warning("no true masks and no validation split: nothing was scored")
    log.info("%s", write_report(cfg))


def steps(cfg: DictConfig) -> Iterator[Step]:
    """The stages in order, each with its name and what runs it.

    Raises:
        ConfigError: if a method is unknown, or its store is not fed by the classifier.
    """
    for method in cfg.methods:
        if method_of(method).source == "store" and method not in cfg.fusion.stores:
            raise ConfigError(
                f"methods has {method}, but fusion feeds {list(cfg.fusion.stores)}; "
                "say fusion=both, or leave it out of methods"
            )
    yield "classifier, accumulating attention", partial(fit_classifier, cfg, alone=False)
    for method in cfg.methods:
        one = method_of(method)
        if one.source in ("classifier", "tags"):
            yield f"attention of {method}", partial(attend_method, cfg, method)
        elif one.loss is not None:
            with_loss = _with_loss(cfg, one.loss)
            yield (
                f"integral attention model, {with_loss.loss.name} loss",
                partial(fit_integral, with_loss, alone=False),
            )
            yield (
                f"attention of {method}",
                partial(attend_method, with_loss, method),
            )
    for method in cfg.methods:
        yield f"proxy labels of {method}", partial(label_method, cfg, method)
    for method in cfg.methods:
        yield (
            f"segmenter on {method}",
            partial(fit_segmenter, cfg, method, alone=False),
        )


def _with_loss(cfg: DictConfig, name: str) -> DictConfig:
    """The configuration with another loss, as `loss=<name>` would make it."""
    if cfg.loss.name == name:
        return cfg
    return overridden(cfg, {"loss": None}, {"loss": compose_group("loss", name)})
