"""The report page: one HTML file that opens from disk and asks the network for nothing.

Every text that comes from a run (ids, class names, the command) is escaped by the template engine.
The page's content policy allows the package's own scripts by their hashes, no other script and no
foreign address. Without scripts the page shows the same results, still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from oaa_pl.errors import OutputError
from oaa_pl.files.atomic import write_whole
from oaa_pl.proxy.palette import voc_palette
from oaa_pl.report.charts import accepted_chart, class_chart, curve_chart
from oaa_pl.report.class_table import ClassTable
from oaa_pl.report.curves import IouCurve, Peak, peaks_of
from oaa_pl.report.effect_table import effect_table
from oaa_pl.report.explorer import ExploredPhoto, explorer_data
from oaa_pl.report.grid import GridRow, GrowthStrip, panel_names
from oaa_pl.report.method_table import method_table, other_table
from oaa_pl.report.methods import methods
from oaa_pl.report.paper import TABLE_1, TABLE_3
from oaa_pl.report.pictures import HEAT_STOPS, Picture, data_uri, heat_tables
from oaa_pl.report.results import Row
from oaa_pl.report.scripts import chart_library, content_hash, own_script
from oaa_pl.report.vega import Chart

__all__ = ["ReportData", "RunFacts", "build_page", "duration"]

_SIDES = (320, 280, 240, 200, 160, 128, 96, 64)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Where the numbers come from, so that others can reproduce them.

    Attributes:
        experiment: name of the run folder.
        dataset: name of the data set, such as `voc12`.
        sizes: split -> number of images.
        commit: git commit of the code, or a word such as `unknown`.
        command: the exact command line that made the run.
        versions: package -> version.
        seconds: stage -> wall time in seconds, all resumptions together, in the order in which
            the stages ran.
        settings: other choices worth reading, such as the network or the background cue.
    """

    experiment: str
    dataset: str
    sizes: Mapping[str, int]
    commit: str
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that the page shows.

    Attributes:
        title: heading of the page.
        facts: where the numbers come from.
        rows: results of one experiment on one data set; without masks, none.
        curves: method -> mean IoU against the threshold; may be empty.
        fixed_threshold: threshold of `attention/miou`, in [0, 1], marked in the curves.
        grid: images through all the methods; may be empty.
        growth: cumulative maps over the epochs; may be empty.
        classes: foreground class names in the order of their ids, for the colour legend.
        by_class: scores of each class; None: not shown.
        photos: photos of the explorer; may be empty.
        accepted: seed -> share of the maps that the gate accepted in each epoch, in [0, 1].
        runs: names of the two runs that the explorer compares; empty if it shows one.
    """

    title: str
    facts: RunFacts
    rows: Sequence[Row]
    curves: Mapping[str, IouCurve] = field(default_factory=dict)
    fixed_threshold: float | None = None
    grid: Sequence[GridRow] = ()
    growth: Sequence[GrowthStrip] = ()
    classes: Sequence[str] = ()
    by_class: ClassTable | None = None
    photos: Sequence[ExploredPhoto] = ()
    accepted: Mapping[int, Sequence[float]] = field(default_factory=dict)
    runs: Sequence[str] = ()


def build_page(data: ReportData, path: Path, max_bytes: int = 20_000_000) -> None:
    """Write the report as one self-contained HTML file.

    Args:
        data: what to show; parts without data are left out.
        path: the file, `report/index.html` of a run folder; appears whole or not at all.
        max_bytes: upper limit of its size; the grid's pictures are scaled down until it is kept.

    Raises:
        ConfigError: if a seed occurs twice for one measurement.
        OutputError: if the file cannot be written, or the smallest pictures exceed the limit.
    """
    peaks = peaks_of(data.curves)
    drawn = {
        "curves": curve_chart(data.curves, peaks, data.fixed_threshold),
        "classes": class_chart(data.by_class) if data.by_class else None,
        "accepted": accepted_chart(data.accepted),
    }
    charts = {name: chart for name, chart in drawn.items() if chart is not None}
    for side in _SIDES:
        page = _render(data, side, peaks, charts).encode()
        if len(page) <= max_bytes:
            write_whole(path, page)
            return
    raise OutputError(
        f"{path}: the page needs {len(page)} bytes of {max_bytes}; show fewer "
        "images (report.photos, report.images)"
    )


def duration(seconds: float) -> str:
    """Wall time in two units at most.

    >>> duration(7.4), duration(192), duration(3900)
    ('7 s', '3 min 12 s', '1 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _render(data: ReportData, side: int, peaks: Sequence[Peak], charts: Mapping[str, Chart]) -> str:
    # Autoescape for every template: the default decides by file ending, and .j2 would be trusted.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    explorer = explorer_data(data.photos, data.classes, data.facts.sizes, data.runs)
    scripts = [own_script("ranking.js"), own_script("explorer.js")] if explorer else []
    if charts:
        scripts += [chart_library(), own_script("charts.js")]
    other_methods, other_rows = other_table(data.rows)
    palette = voc_palette()
    return environment.get_template("page.html.j2").render(
        data=data,
        facts=data.facts,
        seeds=sorted({row.seed for row in data.rows}),
        datasets=sorted({row.dataset for row in data.rows}),
        registry=list(methods().values()),
        methods=method_table(data.rows),
        effects=effect_table(data.rows),
        other_methods=other_methods,
        other_rows=other_rows,
        charts=charts,
        peaks=peaks,
        panels=panel_names(data.grid),
        grid=[_grid_row(row, side) for row in data.grid],
        growth=[_growth(strip, side) for strip in data.growth],
        swatches=[
            (name, "#{:02x}{:02x}{:02x}".format(*palette[place + 1]))
            for place, name in enumerate(data.classes)
        ],
        heat_stops=", ".join(HEAT_STOPS),
        heat_tables=heat_tables(),
        explorer=explorer,
        scripts=[(script, content_hash(script)) for script in scripts],
        table_1=TABLE_1,
        table_3=TABLE_3,
    )


def _grid_row(row: GridRow, side: int) -> dict[str, object]:
    return {
        "id": row.image_id,
        "tags": row.tags,
        "pictures": {name: _picture(picture, side) for name, picture in row.panels.items()},
    }


def _growth(strip: GrowthStrip, side: int) -> dict[str, object]:
    return {
        "id": strip.image_id,
        "class_name": strip.class_name,
        "caption": strip.caption,
        "photo": _picture(strip.photo, side),
        "frames": [(epoch, _picture(picture, side)) for epoch, picture in strip.frames],
    }


def _picture(picture: Picture, side: int) -> dict[str, object]:
    """Address and shape: the page reserves the place before the picture is decoded."""
    return {"uri": data_uri(picture, side), "width": picture.shape[1], "height": picture.shape[0]}
