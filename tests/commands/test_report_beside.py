"""Two runs on one page by `report.beside=FOLDER`, and the photos that a training watches."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.commands.tiny import METHODS, files, oaa, require_refusal, words

from oaa_pl.store.reader import StoreReader


def explorer_of(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'id="explorer-data">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)


def test_two_runs_and_two_seeds_are_shown_beside_each_other(
    again: Path, tiny_voc_once: Path
) -> None:
    shutil.copytree(again / "runs/tiny/seed-0", again / "runs/other/seed-1")
    page = again / "runs/tiny/report/index.html"
    alone = page.stat().st_size
    said = oaa("report", *words(tiny_voc_once), "report.beside=runs/other")
    assert said.status == 0, said.err
    data = explorer_of(page)
    assert data["runs"] == ["tiny/seed-0", "other/seed-1"]
    names = [one["name"] for one in data["methods"]]
    assert names == [*names[: len(METHODS)], *(f"beside/{one}" for one in names[: len(METHODS)])]
    assert {*names[: len(METHODS)]} == {*METHODS}
    assert alone < page.stat().st_size < 20_000_000
    shutil.copytree(again / "runs/other/seed-1", again / "runs/tiny/seed-1")
    for scores in (again / "runs/tiny/seed-1").rglob("*.csv"):
        scores.write_text(scores.read_text().replace("tiny,0,voc12", "tiny,1,voc12"))
    said = oaa("report", *words(tiny_voc_once), "report.beside=runs/tiny/seed-1")
    assert said.status == 0, said.err
    assert explorer_of(page)["runs"] == ["seed-0", "seed-1"]


@pytest.mark.parametrize("command", ["report", "reproduce"])
def test_a_second_run_that_is_none_is_refused_before_anything_is_made(
    empty: Path, tiny_voc_once: Path, command: str
) -> None:
    said = oaa(command, *words(tiny_voc_once), "report.beside=runs/nowhere")
    require_refusal(said, "report.beside: runs/nowhere is not a folder", "runs/other/seed-1")
    assert files(empty) == set()


def test_folders_of_two_runs_as_words_are_told_what_to_say(empty: Path) -> None:
    require_refusal(oaa("report", "runs/one", "runs/two"), "report.beside=runs/two")


def test_a_finished_classifier_stays_finished_with_another_number_of_watched_photos(
    again: Path, tiny_voc_once: Path
) -> None:
    folder = again / "runs/tiny/seed-0/classifier"
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    said = oaa("fit", "stage=classifier", *words(tiny_voc_once), "report.watched=1")
    assert said.status == 0, said.err
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_watching_photos_changes_no_result(
    finished: Path, empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", "stage=classifier", *words(tiny_voc_once), "report.watched=1")
    assert said.status == 0, said.err
    seed = Path("runs/tiny/seed-0")
    one, other = (
        torch.load(root / seed / "classifier/last.ckpt", weights_only=True)["state_dict"]
        for root in (finished, empty)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    stores = [StoreReader(root / seed / "attention/oaa_max/store") for root in (finished, empty)]
    assert np.array_equal(stores[0].state, stores[1].state)
    kept = np.load(empty / seed / "classifier/growth/epoch-000.npz").files
    assert sorted(kept) == ["attention-0", "cumulative-0"]
