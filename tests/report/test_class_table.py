import math
from pathlib import Path

import pytest
import torch
from tests.report.test_page import HOSTILE, Page, report

from oaa_pl.report.class_results import Scored, collect_class_results, write_class_results
from oaa_pl.report.class_table import class_table
from oaa_pl.report.page import build_page

CONFUSION = torch.tensor([[6, 2, 0, 0], [1, 3, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0]])


def run_with(folder: Path, *stages: tuple[str, str], name: str = "dog") -> Path:
    for number, (stage, method) in enumerate(stages):
        scored = Scored("toy", number, "synthetic", "val", stage, method)
        place = folder / f"seed-{number}" / stage / method
        write_class_results(place, scored, CONFUSION, ["cat", name, "cow"])
        (place / "done.json").write_text("{}")
    collect_class_results(folder)
    return folder


def test_each_class_has_the_iou_of_each_method(tmp_path: Path) -> None:
    table = class_table(run_with(tmp_path, ("segmenter", "oaa_max"), ("segmenter", "cam")))
    assert table is not None
    assert table.stage == "segmentations"
    assert len(table.titles) == 2
    rows = dict(table.rows)
    assert rows["cat"] == ("30.0", "30.0")  # 3 hits in a union of 10
    assert rows["dog"] == ("0.0", "0.0")
    assert rows["cow"] == ("–", "–")  # in neither truth nor prediction
    assert rows["over-activation m_FP"] == ("∞", "∞")  # of dogs, no pixel is hit


def test_the_furthest_stage_is_shown(tmp_path: Path) -> None:
    table = class_table(run_with(tmp_path, ("attention", "cam"), ("labels", "cam")))
    assert table is not None
    assert table.stage == "proxy labels"


def test_the_confusion_matrix_has_shares_of_the_true_pixels(tmp_path: Path) -> None:
    table = class_table(run_with(tmp_path, ("segmenter", "cam"), ("segmenter", "cam")))
    assert table is not None
    assert table.names == ("background", "cat", "dog")  # no cow occurs
    assert table.shares[0] == ("75.0", "25.0", "0.0")
    assert table.shares[2] == ("0.0", "100.0", "0.0")


def test_an_older_run_has_no_table(tmp_path: Path) -> None:
    assert class_table(tmp_path) is None


def test_the_page_shows_the_table_with_every_name_escaped(tmp_path: Path) -> None:
    run_with(tmp_path, ("segmenter", "cam"), name=HOSTILE)
    data = report()
    object.__setattr__(data, "by_class", class_table(tmp_path))
    build_page(data, tmp_path / "index.html")
    page = Page((tmp_path / "index.html").read_text())
    assert page.open == []
    assert HOSTILE in page.words
    assert [one for one in page.all("table") if one.get("class") == "classes"]
    assert [one for one in page.all("table") if one.get("class") == "confusion"]
    assert HOSTILE not in (tmp_path / "index.html").read_text()


def test_the_numbers_of_the_chart_are_those_of_the_table(tmp_path: Path) -> None:
    table = class_table(run_with(tmp_path, ("segmenter", "cam"), ("segmenter", "oaa_max")))
    assert table is not None
    assert table.methods == ("cam", "oaa_max")
    shown = [(name, values) for name, values in table.rows if not name.endswith(("m_FP", "m_FN"))]
    drawn = [
        (name, tuple("–" if math.isnan(value) else f"{value:.1f}" for value in values))
        for name, values in table.iou
    ]
    assert drawn == shown


@pytest.mark.parametrize("stage", ["other"])
def test_a_stage_that_is_not_known_is_not_shown(tmp_path: Path, stage: str) -> None:
    assert class_table(run_with(tmp_path, (stage, "cam"))) is None
