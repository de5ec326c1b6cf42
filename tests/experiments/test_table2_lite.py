"""The scripts of experiments/table2_lite run at toy size, on the current package."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import oaa, surroundings, words
from tests.scripts import loaded

from oaa_pl.proxy.palette import save_label
from oaa_pl.report.grid import GridRow

SCRIPTS = Path(__file__).parents[2] / "experiments/table2_lite"


def script(name: str, folder: Path, *arguments: str) -> None:
    paths = os.pathsep.join([str(SCRIPTS), surroundings()["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"{name}.py", *arguments],
        cwd=folder, env={**surroundings(), "PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


@pytest.mark.slow
def test_every_model_is_read_in_three_ways(again: Path, tiny_voc_once: Path) -> None:
    script("readings", again, "rows.csv", *words(tiny_voc_once))
    rows = table(again / "rows.csv")
    assert len({(row["model"], row["reading"]) for row in rows}) == len(rows) == 9
    # The classifier by Eq. (2) is the method `cam` of the run.
    (ours,) = (r for r in rows if (r["model"], r["reading"]) == ("classifier", "eq2"))
    scored = {
        row["metric"]: float(row["value"])
        for row in table(again / "runs/tiny/results.csv")
        if row["method"] == "cam"
    }
    for metric in ("attention/miou", "attention/recall", "proxy/miou_hard", "proxy/miou"):
        assert abs(float(ours[metric]) - scored[metric]) < 0.3, metric  # the store has 8 bits


@pytest.mark.slow
def test_recorded_maps_are_fused_as_the_store_fuses(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    recorded = "callbacks=[{_target_: recorded_maps.RecordedMaps, output: recorded}]"
    said = oaa("fit", *words(tiny_voc_once), "gate=none", recorded, "methods=[oaa_max]")
    assert said.status == 0, said.err
    script("accumulations", empty, "recorded", "rows.csv", *words(tiny_voc_once))
    rows = {(row["model"], row["reading"]): row for row in table(empty / "rows.csv")}
    ours = rows["maximum, first epoch 0, gate none", "eq2"]
    (scored,) = (
        row for row in table(empty / "runs/tiny/results.csv")
        if (row["method"], row["metric"]) == ("oaa_max", "attention/miou")
    )  # fmt: skip
    assert abs(float(ours["attention/miou"]) - float(scored["value"])) < 1
    assert [row["epoch"] for row in table(empty / "rows-epochs.csv")] == ["0", "1"]


@pytest.mark.slow
def test_trials_of_the_integral_model_are_scored_by_epoch(again: Path, tiny_voc_once: Path) -> None:
    none, hybrid = {"loss": "none"}, {"loss": "hybrid", "threshold": 0.1, "epochs": 1}
    trials = [{**one, "layers": 3} for one in (none, hybrid)]
    (again / "trials.txt").write_text("".join(f"{json.dumps(one)}\n" for one in trials))
    script("integral_trial", again, "trials.txt", "rows.csv", *words(tiny_voc_once))
    rows = table(again / "rows.csv")
    assert [(json.loads(row["trial"])["loss"], row["epoch"]) for row in rows] == [
        *[("none", "0")] * 3, *[("hybrid", "1")] * 3,
    ]  # fmt: skip


@pytest.mark.slow
def test_heads_scored_by_older_code_are_compared(tmp_path: Path) -> None:
    for method, hits in (("true_masks", 9), ("oaa_plus_hybrid", 7)):
        confusion = np.array([[[10, 0], [10 - hits, hits]]] * 5)
        np.savez(tmp_path / f"lite-0-val_dev-{method}-0.npz", confusion=confusion)
    script("paired", tmp_path, ".", "paired.csv")
    (row,) = table(tmp_path / "paired.csv")
    assert (row["method"], row["minus"]) == ("masks", "oaa_plus_hybrid")
    assert float(row["difference"]) > 0


def test_the_quoted_tables_are_those_of_the_committed_files() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "tables.py"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    for page in ("README.md", "docs/results.md"):
        text = (SCRIPTS.parents[1] / page).read_text("utf-8")
        (quoted,) = re.findall(
            r"experiments/table2_lite/tables.py -->\n(.*?)<!-- end -->", text, re.S
        )
        assert quoted.strip() == done.stdout.strip(), page


def test_the_best_median_and_worst_photos_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = loaded(SCRIPTS / "pictures.py")
    mask = np.zeros((8, 10), np.uint8)
    mask[:, :5] = 1
    names = [f"p{hits}" for hits in range(10)]
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / "voc" / folder).mkdir(parents=True)
    (tmp_path / "voc/ImageSets/Segmentation/val_dev.txt").write_text("\n".join(names))
    for hits, name in enumerate(names):  # the more hits, the better
        Image.new("RGB", (10, 8)).save(tmp_path / f"voc/JPEGImages/{name}.jpg")
        save_label(tmp_path / f"voc/SegmentationClass/{name}.png", mask)
        predicted = np.zeros_like(mask)
        predicted[:, : max(hits, 1) // 2] = 1
        predicted[:1, :5] = hits % 2
        for column in (*pictures.SHOWN, "20 %=oaa_max-20pc"):
            folder = tmp_path / "run/segmenter" / column.partition("=")[2] / "predictions"
            save_label(folder / f"{name}.png", predicted)
    shown: list[GridRow] = []
    monkeypatch.setattr(pictures, "save_contact_sheet", lambda _, rows: shown.extend(rows))
    pictures.main(str(tmp_path / "voc"), str(tmp_path / "run"), "unused.png")
    assert [row.tags[0] for row in shown] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    scores = [float(row.tags[1].split()[0]) for row in shown]
    assert scores == sorted(scores, reverse=True)
    assert (shown[0].image_id, shown[-1].image_id) == ("p9", "p0")
    assert set(shown[0].panels) == {"truth", "control", "CAM", "max", "OAA+", "true masks"}
    shown.clear()
    root, run = str(tmp_path / "voc"), str(tmp_path / "run")
    pictures.main(root, run, "unused.png", "20 %", "20 %=oaa_max-20pc", "CAM=cam-frozen_head")
    assert [*shown[0].panels] == ["truth", "20 %", "CAM"]
