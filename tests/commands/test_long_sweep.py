"""A sweep of 2 x 2 x 3 jobs on the embedded data: one fails, the sweep is killed and run again."""

import csv
import json
import logging
import signal
from pathlib import Path

import pytest
from tests.commands.killed import run_until
from tests.commands.tiny import oaa

SMALLEST = (
    "experiment=smoke", "name=night", "data.train_images=12", "data.val_images=4",
    "classifier.epochs=2", "background.value=0.95", "segmenter.batch_size=4", "label.workers=1",
    "report.images=1", "estimate=false",
)  # fmt: skip
SWEEP = ("methods=[cam],[oaa_max]", "segmenter.optimizer.lr=0.01,0.02", "seed=0,1,2", "-m")
FAILING = "segmenter.optimizer.lr=0.02/seed-2/segmenter/cam"


def finished(home: Path) -> dict[str, int]:
    return {
        path.parent.relative_to(home).as_posix(): path.stat().st_mtime_ns
        for path in home.rglob("done.json")
    }


@pytest.mark.slow
def test_a_killed_sweep_with_a_failing_job_makes_only_what_is_missing(
    empty: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = empty / "runs/night"
    blocked = home / FAILING
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the folder of a stage should be")

    killed = run_until(signal.SIGKILL, "done.json", 20, empty, "reproduce", *SMALLEST, *SWEEP)
    assert killed.status == -signal.SIGKILL
    before = finished(home)
    assert 0 < len(before) < 60

    with caplog.at_level(logging.INFO):
        again = oaa("reproduce", *SMALLEST, *SWEEP)
    assert again.status == 2, again.err
    assert again.last.startswith("oaa: 1 job of this sweep failed: #")
    assert "methods=[cam] segmenter.optimizer.lr=0.02 seed=2: " in again.last
    after = finished(home)
    assert {place: after[place] for place in before} == before
    assert "sweep: segmenter: " in caplog.text
    trained = [
        place for place in after
        if place.endswith("classifier") and "copied_from" not in json.loads(
            (home / place / "done.json").read_text())
    ]  # fmt: skip
    assert len(trained) == 3  # one for each seed, for both methods and both rates

    blocked.unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        last = oaa("reproduce", *SMALLEST, *SWEEP)
    assert last.status == 0, last.err
    assert set(finished(home)) - set(after) == {FAILING}
    assert "sweep: segmenter: 1 made, 11 there before" in caplog.text

    assert oaa("report", "runs/night").status == 0
    with (home / "sweep.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "segmentation/miou"]
    jobs = {(row["experiment"], row["method"]): row["seeds"] for row in rows}
    assert jobs == {
        (f"night[segmenter.optimizer.lr={lr}]", method): "3"
        for lr in ("0.01", "0.02")
        for method in ("cam", "oaa_max")
    }
