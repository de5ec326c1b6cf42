"""`oaa report`: the tables, curves and pictures of a run on one page."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.data.source import Source
from oaa_pl.errors import MissingInputError, RunMismatchError
from oaa_pl.files.atomic import sweep
from oaa_pl.metrics import require_threshold
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.class_table import class_table
from oaa_pl.report.grid import GridRow, GrowthStrip, save_contact_sheet
from oaa_pl.report.growth import growth_caption
from oaa_pl.report.markdown import markdown_tables
from oaa_pl.report.methods import methods
from oaa_pl.report.page import ReportData, RunFacts, build_page
from oaa_pl.report.pictures import heat_overlay, label_overlay
from oaa_pl.report.results import collect
from oaa_pl.runs.folders import Run
from oaa_pl.runs.record import write_text
from oaa_pl.runs.stage_folder import read_json
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.figures import write_figures
from oaa_pl.stages.photo_layers import Predicted, explored_photos
from oaa_pl.stages.pictures import growth_epochs, spread, watched_in
from oaa_pl.stages.seeds import accepted_by_seed, mean_curves
from oaa_pl.stages.trained import segment_photo
from oaa_pl.store.reader import StoreReader
from oaa_pl.training.precision import as_trained

__all__ = ["run", "write_report"]

log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]

_FRAMES = 9


def run(cfg: DictConfig) -> None:
    """Write the report of everything under `<runs>/<name>`."""
    log.info("%s: written", write_report(cfg))


def write_report(cfg: DictConfig) -> Path:
    """Gather results of all seeds, and show this seed's pictures.

    Args:
        cfg: the configuration.

    Returns:
        The page's path.

    Raises:
        MissingInputError: if nothing was scored yet.
        ConfigError: if `evaluate.threshold` is out of range.
    """
    parts = Configured(cfg)
    run = parts.run
    require_threshold(cfg.evaluate.threshold)  # the page marks and states it
    # The results and the page belong to no stage, so no stage's start clears up after a kill.
    sweep(run.home, ".*")
    sweep(run.root.parent / "report")
    try:
        rows = [row for row in collect(run.home) if row.experiment == run.experiment]
    except MissingInputError:
        rows = []  # without masks there are pictures only; `_facts` refuses an empty run
    train, val = parts.data.sources
    page = run.root.parent / "report" / "index.html"  # the variants of a sweep have one each
    sizes = {train.split: len(train.ids)}
    if val is not None:
        sizes[val.split] = len(val.ids)
    predicted = _predicted(parts, train)
    grid = [*_training_rows(parts, train, predicted), *_validation_rows(cfg, run, val)]
    wanted, threshold = parts.value("report.photos"), cfg.evaluate.threshold
    data = ReportData(
        title=f"{run.experiment}: from tags to masks",
        facts=_facts(parts, cfg, train, sizes),
        rows=rows,
        curves=mean_curves(run, cfg.methods),
        fixed_threshold=cfg.evaluate.threshold,
        grid=grid,
        growth=list(_growth(run, train, cfg.evaluate.threshold)),
        classes=train.classes,
        by_class=class_table(run.home),
        accepted=accepted_by_seed(run),
        photos=explored_photos(run, train, val, threshold, wanted, predicted),
    )
    build_page(data, page)
    if rows:
        write_text(page.parent / "table.md", markdown_tables(rows))
    if grid:
        save_contact_sheet(page.parent / "grid.png", grid)
    write_figures(run, train, val, page.parent)
    return page


def _facts(parts: Configured, cfg: DictConfig, train: Source, sizes: dict[str, int]) -> RunFacts:
    run = parts.run
    seconds: dict[str, float] = {}
    record: dict[str, object] = {}
    commits: dict[str, None] = {}
    for done in sorted(run.root.rglob("done.json"), key=lambda path: path.stat().st_mtime):
        stage = done.parent.relative_to(run.root).as_posix()
        try:
            spent = float(read_json(done)["seconds"])
            made = read_json(done.parent / "stage.json")
            legs = [leg["commit"] for leg in (*made.get("earlier", []), made)]
            if not {"command", "versions"} <= set(made):
                raise KeyError("command, versions")
        except (RunMismatchError, KeyError, TypeError, ValueError) as error:
            log.warning("skipped: %s is not a stage of this package (%s)", done.parent, error)
            continue
        seconds[stage], record = spent, record or made
        commits |= dict.fromkeys(legs)
    if not record:
        raise MissingInputError(f"{run.root} has no finished stage; run 'oaa reproduce' first")
    slow = parts.network("attention").full_on_cpu
    return RunFacts(
        experiment=cfg.name,
        dataset=train.name,
        sizes=sizes,
        commit=", ".join(commits),
        command=str(record["command"]),
        versions=dict(record["versions"]),  # type: ignore[call-overload]  # a JSON mapping
        seconds=seconds,
        settings={
            "network": cfg.net.name,
            "input": f"{cfg.data.input_size} px",
            "precision": str(as_trained(parts.trainer, run.classifier, slow).precision),
            "background cue": cfg.background._target_.rpartition(".")[2],
            "gate": cfg.gate._target_.rpartition(".")[2],
            "threshold of attention/miou": f"{cfg.evaluate.threshold}, fixed beforehand",
        },
    )


def _predicted(parts: Configured, train: Source) -> Predicted:
    """Predictions of the training images shown, by the last method's segmenter."""
    trained = _last_finished(parts.value("methods"), parts.run.segmenter)
    if trained is None:
        return Predicted("", {})
    checkpoint = parts.run.segmenter(trained) / LAST
    segment = segment_photo(parts.segmenting, checkpoint, len(train.classes))
    places = spread(len(train.ids), parts.value("report.images"))
    return Predicted(trained, {one: segment.label(train.photo(one)) for one in places})


def _training_rows(parts: Configured, train: Source, predicted: Predicted) -> Iterator[GridRow]:
    """Training images: maps, proxy label and prediction, beside the truth if there is one."""
    run, compared = parts.run, parts.value("methods")
    readers = {
        one.short: StoreReader(run.attention(name) / "store")
        for name, one in methods().items()
        if not (one.control or one.ablation) and (run.attention(name) / "done.json").is_file()
    }
    last = _last_finished(compared, run.labels)
    for index in spread(len(train.ids), parts.value("report.images")):
        photo = train.photo(index)
        size = (photo.shape[0], photo.shape[1])
        panels: dict[str, Picture] = {"photo": photo}
        for name, reader in readers.items():
            whole = to_photo(reader.maps(index).attention, size)
            panels[name] = heat_overlay(photo, whole.max(axis=0))
        if last is not None:
            proxy = load_label(run.labels(last) / "proxy" / f"{train.ids[index]}.png")
            panels["proxy"] = label_overlay(photo, proxy)
        if index in predicted.labels:
            panels["prediction"] = label_overlay(photo, predicted.labels[index])
        if train.has_masks:
            panels["truth"] = label_overlay(photo, train.mask(index))
        yield GridRow(_name(train, index), _tags(train, index), panels)


def _validation_rows(cfg: DictConfig, run: Run, val: Source | None) -> Iterator[GridRow]:
    """Validation images: predictions of the segmenter, beside the truth if there is one."""
    last = _last_finished(cfg.methods, run.segmentations, "metrics.csv")
    if val is None or last is None:
        return
    for index in spread(len(val.ids), cfg.report.images // 2):
        photo = val.photo(index)
        path = run.segmentations(last) / "predictions" / f"{val.ids[index]}.png"
        panels = {"photo": photo, "prediction": label_overlay(photo, load_label(path))}
        if val.has_masks:
            panels["truth"] = label_overlay(photo, val.mask(index))
        yield GridRow(_name(val, index), _tags(val, index), panels)


def _last_finished(
    methods: Sequence[str], folder_of: Callable[[str], Path], marker: str = "done.json"
) -> str | None:
    """The last method, in the order of the paper's table, that has finished a stage."""
    finished = (m for m in reversed(methods) if (folder_of(m) / marker).is_file())
    return next(finished, None)


def _growth(run: Run, train: Source, threshold: float) -> Iterator[GrowthStrip]:
    """One image's cumulative map after each epoch: the first that was watched."""
    files = growth_epochs(run.classifier)
    for index in watched_in(files)[:2]:
        photo = train.photo(index)
        size = (photo.shape[0], photo.shape[1])
        category = int(np.flatnonzero(train.labels[index])[0])
        cumulative, attention = {}, {}
        for file in files:
            epoch = int(file.stem.removeprefix("epoch-")) + 1
            with np.load(file) as maps:
                cumulative[epoch] = maps[f"cumulative-{index}"][0].astype(np.float32)
                if f"attention-{index}" in maps.files:  # under several processes it may lack
                    attention[epoch] = maps[f"attention-{index}"][0].astype(np.float32)
        epochs = sorted(cumulative)
        frames = [
            (epochs[place], heat_overlay(photo, to_photo(cumulative[epochs[place]][None], size)[0]))
            for place in spread(len(epochs), _FRAMES)
        ]
        caption = growth_caption(cumulative, attention, threshold)
        yield GrowthStrip(train.ids[index], train.classes[category], photo, frames, caption)


def _name(source: Source, index: int) -> str:
    """An image's id, with its split unless the id begins with it."""
    image_id = source.ids[index]
    return image_id if image_id.startswith(source.split) else f"{source.split} {image_id}"


def _tags(source: Source, index: int) -> list[str]:
    return [source.classes[c] for c in np.flatnonzero(source.labels[index])]
