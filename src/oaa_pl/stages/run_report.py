"""The report of a run: its page, and the table and pictures beside it."""

from pathlib import Path

from oaa_pl.errors import MissingInputError
from oaa_pl.files.atomic import sweep
from oaa_pl.report.class_table import class_table
from oaa_pl.report.grid import save_contact_sheet
from oaa_pl.report.markdown import markdown_tables
from oaa_pl.report.page import ReportData, build_page
from oaa_pl.report.results import collect
from oaa_pl.runs.record import write_text
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.figures import write_figures
from oaa_pl.stages.photo_layers import explored_photos
from oaa_pl.stages.picture_rows import (
    growth_strips,
    predicted_photos,
    training_rows,
    validation_rows,
)
from oaa_pl.stages.run_beside import RunBeside, beside_of, short_names
from oaa_pl.stages.run_facts import run_facts
from oaa_pl.stages.seeds import accepted_by_seed, mean_curves

__all__ = ["write_report"]


def write_report(parts: Configured) -> Path:
    """Gather results of all seeds, and show this seed's pictures.

    Args:
        parts: of the run.

    Returns:
        The page's path.

    Raises:
        MissingInputError: if nothing was scored yet, or `report.beside` is not a run.
        RunMismatchError: if `report.beside` is of other classes or photos.
        ConfigError: if `evaluate.threshold` or a value of `report` is out of range.
    """
    run, threshold = parts.run, parts.threshold  # the page marks and states it
    second = beside_of(run, parts.value("report.beside"))
    # The results and the page belong to no stage, so no stage's start clears up after a kill.
    sweep(run.home, ".*")
    sweep(run.root.parent / "report")
    try:
        rows = [row for row in collect(run.home) if row.experiment == run.experiment]
    except MissingInputError:
        rows = []  # without masks there are pictures only; `run_facts` refuses an empty run
    train, val = parts.data.sources
    sizes = {one.split: len(one.ids) for one in (train, val) if one is not None}
    predicted = predicted_photos(parts, train)
    grid = [*training_rows(parts, train, predicted), *validation_rows(parts, val)]
    beside = None
    if second is not None:
        beside = RunBeside(second, short_names(run.root, second.root), train, val)
    data = ReportData(
        title=f"{run.experiment}: from tags to masks",
        facts=run_facts(parts, train, sizes),
        rows=rows,
        curves=mean_curves(run, parts.value("methods")),
        fixed_threshold=threshold,
        grid=grid,
        growth=list(growth_strips(run, train, threshold)),
        classes=train.classes,
        by_class=class_table(run.home),
        accepted=accepted_by_seed(run),
        photos=explored_photos(
            run, train, val, threshold, parts.value("report.photos"), predicted, beside
        ),
        runs=beside.names if beside is not None else (),
    )
    page = run.root.parent / "report" / "index.html"  # the variants of a sweep have one each
    build_page(data, page)
    if rows:
        write_text(page.parent / "table.md", markdown_tables(rows))
    if grid:
        save_contact_sheet(page.parent / "grid.png", grid)
    write_figures(run, train, val, page.parent)
    return page
