"""`oaa report FOLDER`: a sweep's scores, whatever else is in its folder."""

import csv
import json
import logging
from pathlib import Path

import pytest
from tests.commands.tiny import oaa, words

from oaa_pl.report.results import Row, write_rows


def score(home: Path, variant: str, seed: int, value: float) -> None:
    """A finished segmenter with one score."""
    stage = home / variant / f"seed-{seed}" / "segmenter" / "oaa_max"
    row = Row(f"tiny[{variant}]", seed, "voc12", "val", "segmenter", "oaa_max",
              "segmentation/miou", value)  # fmt: skip
    write_rows(stage / "metrics.csv", [row])
    (stage / "done.json").write_text(json.dumps({"seconds": 1.0}))


@pytest.fixture
def home(empty: Path) -> Path:
    folder = empty / "runs/tiny"
    for seed, (low, high) in enumerate(((50.0, 53.0), (60.0, 61.0))):
        score(folder, "lr=0.1", seed, low)
        score(folder, "lr=0.2", seed, high)
    return folder


def test_means_deviations_and_paired_differences_are_written(home: Path) -> None:
    said = oaa("report", "runs/tiny")
    assert said.status == 0, said.err
    with (home / "sweep.csv").open(newline="") as file:
        best, other = csv.DictReader(file)
    assert (best["experiment"], best["seeds"], best["difference"]) == ("tiny[lr=0.2]", "2", "")
    assert (best["mean"], best["deviation"]) == ("57.0000", "5.6569")
    assert (other["highest"], other["difference"]) == ("tiny[lr=0.2] oaa_max", "-2.0000")
    assert (other["difference_deviation"], other["pairs"]) == ("1.4142", "2")
    text = (home / "sweep.md").read_text()
    assert "| tiny[lr=0.1] oaa_max | 2 | 55.0" in text


def test_a_broken_an_empty_and_a_foreign_run_are_named_and_the_others_reported(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = home / "lr=0.3/seed-0/segmenter/oaa_max"
    score(home, "lr=0.3", 0, 70.0)
    text = (broken / "metrics.csv").read_text()
    (broken / "metrics.csv").write_text(text[: len(text) // 2 + 40])
    (home / "lr=0.4/seed-0").mkdir(parents=True)
    foreign = home / "other-program/metrics"
    foreign.mkdir(parents=True)
    (foreign / "metrics.csv").write_bytes(b"epoch,loss\n0,\xff\n")
    (foreign / "done.json").write_text("[]")
    with caplog.at_level(logging.WARNING):
        said = oaa("report", "runs/tiny")
    assert said.status == 0, said.err
    named = [one.getMessage() for one in caplog.records if one.getMessage().startswith("skipped: ")]
    assert len(named) == 3
    for place in ("lr=0.3/seed-0/segmenter", "lr=0.4/seed-0", "other-program/metrics"):
        assert sum(place in line for line in named) == 1, place
    with (home / "sweep.csv").open(newline="") as file:
        found = [row["experiment"] for row in csv.DictReader(file)]
    assert found == ["tiny[lr=0.2]", "tiny[lr=0.1]"]


def test_a_page_is_written_beside_a_broken_an_empty_and_a_foreign_seed(
    again: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = again / "runs/tiny"
    broken = home / "seed-1/attention/oaa_max"
    broken.mkdir(parents=True)
    for name in ("done.json", "stage.json", "curve.json", "metrics.csv"):
        (broken / name).write_text('{"miou": [')
    (home / "seed-2").mkdir()
    foreign = home / "seed-0/foreign"
    foreign.mkdir()
    (foreign / "done.json").write_text('{"seconds": 3}')
    with caplog.at_level(logging.WARNING):
        said = oaa("report", *words(tiny_voc_once))
    assert said.status == 0, said.err
    for place in ("seed-1/attention/oaa_max/metrics.csv", "seed-1/attention/oaa_max/curve.json",
                  "seed-0/foreign"):  # fmt: skip
        assert any(place in one.getMessage() for one in caplog.records), place
    assert (home / "report/index.html").is_file()


def test_what_is_no_folder_or_has_no_scores_is_refused(empty: Path) -> None:
    assert "runs/tiny is not a folder" in oaa("report", "runs/tiny").last
    (empty / "runs/tiny").mkdir(parents=True)
    said = oaa("report", "runs/tiny")
    assert said.status == 2
    assert "no finished stage with metrics under runs/tiny" in said.last
