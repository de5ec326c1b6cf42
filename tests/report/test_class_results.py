import csv
from pathlib import Path

import pytest
import torch

from oaa_pl.report.class_results import Scored, collect_class_results, write_class_results

SCORED = Scored("toy", 0, "voc12", "val", "segmenter", "cam")
CONFUSION = torch.tensor([[4, 1, 0], [2, 3, 0], [0, 0, 0]])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_class_has_a_row_for_each_score(tmp_path: Path) -> None:
    write_class_results(tmp_path, SCORED, CONFUSION, ["cat", "dog, brown"])
    found = {(row["class"], row["metric"]): float(row["value"]) for row in read_table(tmp_path)}
    assert found["cat", "iou"] == pytest.approx(50)
    assert found["cat", "precision"] == pytest.approx(75)
    assert found["cat", "recall"] == pytest.approx(60)
    assert found["cat", "fp_per_tp"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["", "m_fn"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["dog, brown", "iou"] != found["dog, brown", "iou"]  # NaN: it occurs nowhere
    assert {name for name, _ in found} == {"background", "cat", "dog, brown", ""}


def read_table(folder: Path) -> list[dict[str, str]]:
    return read(folder / "classes.csv")


def test_the_confusion_matrix_has_a_row_for_each_pair(tmp_path: Path) -> None:
    write_class_results(tmp_path, SCORED, CONFUSION, ["cat", "dog"])
    found = {
        (row["truth"], row["prediction"]): int(row["pixels"])
        for row in read(tmp_path / "confusion.csv")
    }
    assert len(found) == 9
    assert found["cat", "background"] == 2
    assert found["background", "cat"] == 1


def test_only_finished_stages_are_gathered(tmp_path: Path) -> None:
    for number, method in enumerate(("cam", "oaa_max", "oaa_mean")):
        folder = tmp_path / "seed-0" / method
        write_class_results(folder, SCORED._replace(method=method), CONFUSION, ["cat", "dog"])
        if number < 2:
            (folder / "done.json").write_text("{}")
    collect_class_results(tmp_path)
    assert {row["method"] for row in read_table(tmp_path)} == {"cam", "oaa_max"}
    before = (tmp_path / "classes.csv").read_bytes()
    collect_class_results(tmp_path)  # does not gather what it gathered
    assert (tmp_path / "classes.csv").read_bytes() == before


def test_runs_of_older_versions_have_no_table(tmp_path: Path) -> None:
    collect_class_results(tmp_path)
    assert list(tmp_path.iterdir()) == []
