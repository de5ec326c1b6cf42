"""Scores are made once, and again only when they would be taken in another way."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cases import some_quick
from tests.commands.tiny import METHODS, files, oaa, require_refusal, words

from oaa_pl.proxy.palette import load_label, save_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.results import read_results
from oaa_pl.store.reader import StoreReader

THRESHOLDS = ("1.2", "-0.1", "30", "half", "null", "nan")


def metrics(folder: Path, stage: str) -> str:
    return (folder / "runs/tiny/seed-0" / stage / "metrics.csv").read_text()


def test_another_threshold_scores_the_maps_again(again: Path, tiny_voc_once: Path) -> None:
    before = metrics(again, "attention/oaa_max")
    said = oaa("evaluate", *words(tiny_voc_once), "evaluate.threshold=0.7")
    assert said.status == 0, said.err
    assert metrics(again, "attention/oaa_max") != before
    assert "attention/miou" in (again / "runs/tiny/results.csv").read_text()
    oaa("evaluate", *words(tiny_voc_once))
    assert metrics(again, "attention/oaa_max") == before


def test_another_threshold_leaves_labels_and_segmentations_alone(
    again: Path, tiny_voc_once: Path
) -> None:
    root = again / "runs/tiny/seed-0"
    kept = [p for p in root.rglob("*") if {"labels", "segmenter", "classifier"} & {*p.parts}]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert oaa("evaluate", *words(tiny_voc_once), "evaluate.threshold=0.7").status == 0
    assert before == {path: path.stat().st_mtime_ns for path in kept}


def backwards(photo: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """In the place of a CRF: what was least probable becomes most probable."""
    assert photo.shape[:2] == probabilities.shape[1:]
    return 1 - probabilities


def test_a_crf_is_scored_beside_the_network_alone(again: Path, tiny_voc_once: Path) -> None:
    results = again / "runs/tiny/results.csv"
    before = read_results(results)
    plain = again / "runs/tiny/seed-0/segmenter/cam/predictions"
    alone = {path.name: path.read_bytes() for path in plain.iterdir()}
    crf = "crf._target_=tests.stages.test_scores.backwards"
    said = oaa("evaluate", *words(tiny_voc_once), crf, "methods=[oaa_max,cam]")
    assert said.status == 0, said.err
    after = read_results(results)
    added = [row for row in after if row not in before]
    assert {(row.stage, row.method) for row in added} == {
        ("segmenter", "oaa_max-crf"), ("segmenter", "cam-crf"),
    }  # fmt: skip
    assert [row for row in after if row not in added] == before
    assert alone == {path.name: path.read_bytes() for path in plain.iterdir()}
    refined = plain.parents[1] / "cam-crf/predictions"
    assert alone.keys() == {path.name for path in refined.iterdir()}
    assert all((refined / name).read_bytes() != content for name, content in alone.items())
    # The run without the CRF has lost nothing, and its report knows both.
    assert oaa("reproduce", *words(tiny_voc_once)).status == 0
    assert read_results(results) == after
    assert "CAM (CRF)" in (again / "runs/tiny/report/table.md").read_text()


def test_a_segmenter_that_was_trained_again_is_scored_again_behind_the_crf(
    again: Path, tiny_voc_once: Path
) -> None:
    crf = ("crf._target_=tests.stages.test_scores.backwards", "methods=[cam]")
    assert oaa("evaluate", *words(tiny_voc_once), *crf).status == 0
    scored = again / "runs/tiny/seed-0/segmenter/cam-crf/scored.json"
    before = scored.read_text()
    path = again / "runs/tiny/seed-0/segmenter/cam/last.ckpt"
    state = torch.load(path, weights_only=True)
    state["state_dict"]["net.head.6.bias"] += 1
    torch.save(state, path)
    assert oaa("evaluate", *words(tiny_voc_once), *crf).status == 0
    assert scored.read_text() != before


def test_a_crf_that_cannot_be_made_leaves_no_stage_that_looks_finished(
    again: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    before = files(again)
    said = oaa("evaluate", *words(tiny_voc_once), "crf=release")
    require_refusal(said, "pip install 'oaa_pl[crf]'")
    assert files(again) == before


def test_a_crf_is_not_scored_without_a_segmenter(again: Path, tiny_voc_once: Path) -> None:
    for method in METHODS:
        (again / f"runs/tiny/seed-0/segmenter/{method}/done.json").unlink()
    crf = "crf._target_=tests.stages.test_scores.backwards"
    assert oaa("evaluate", *words(tiny_voc_once), crf).status == 0
    assert not list((again / "runs/tiny/seed-0/segmenter").glob("*-crf"))


def test_another_split_is_scored_under_its_name(again: Path, tiny_voc_once: Path) -> None:
    said = oaa("evaluate", *words(tiny_voc_once), "data.val_split=train")
    assert said.status == 0, said.err
    assert ",train,segmenter,cam," in metrics(again, "segmenter/cam")


def test_a_stage_without_scores_is_scored(again: Path, tiny_voc_once: Path) -> None:
    path = again / "runs/tiny/seed-0/labels/cam/metrics.csv"
    before = path.read_bytes()
    path.unlink()
    assert oaa("evaluate", *words(tiny_voc_once)).status == 0
    assert path.read_bytes() == before


def test_an_unfinished_stage_is_left_out(again: Path, tiny_voc_once: Path) -> None:
    stage = again / "runs/tiny/seed-0/segmenter/cam"
    for name in ("done.json", "metrics.csv", "scored.json"):
        (stage / name).unlink()
    assert oaa("evaluate", *words(tiny_voc_once)).status == 0
    assert "segmenter,cam" not in (again / "runs/tiny/results.csv").read_text()


@pytest.mark.parametrize(
    ("command", "threshold"),
    [
        *some_quick([("evaluate", threshold) for threshold in THRESHOLDS], 3),
        *((command, "1.2") for command in ("reproduce", "report")),
        *(
            pytest.param(command, threshold, marks=pytest.mark.slow)
            for command in ("reproduce", "report")
            for threshold in THRESHOLDS[1:]
        ),
    ],
)
def test_a_threshold_that_no_attention_can_have_is_refused_and_nothing_is_touched(
    again: Path, tiny_voc_once: Path, command: str, threshold: str
) -> None:
    before = files(again)
    said = oaa(command, *words(tiny_voc_once), f"evaluate.threshold={threshold}")
    require_refusal(said, "evaluate.threshold must be a number from 0 to 1")
    assert files(again) == before


def test_a_threshold_between_those_of_the_curve_is_scored_exactly(
    again: Path, tiny_voc_once: Path
) -> None:
    """By hand: every map cut at 0.1234, pixel by pixel."""
    assert oaa("evaluate", *words(tiny_voc_once), "evaluate.threshold=0.1234").status == 0
    reader = StoreReader(again / "runs/tiny/seed-0/attention/oaa_max/store")
    confusion = np.zeros((21, 21))
    for index, name in enumerate(reader.pairs.ids):
        truth = load_label(tiny_voc_once / f"SegmentationClass/{name}.png")
        maps = reader.maps(index)
        whole = to_photo(maps.attention, truth.shape)
        label = np.where(whole.max(0) >= 0.1234, maps.categories[whole.argmax(0)] + 1, 0)
        np.add.at(confusion, (truth[truth < 255], label[truth < 255]), 1)
    union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    expected = 100 * np.nanmean(confusion.diagonal()[union > 0] / union[union > 0])
    rows = read_results(again / "runs/tiny/seed-0/attention/oaa_max/metrics.csv")
    found = {row.metric: row.value for row in rows}
    assert found["attention/miou"] == pytest.approx(expected, abs=1e-3)


def test_a_class_that_validation_never_shows_takes_nothing_from_the_average_precision(
    again: Path, tiny_voc_once: Path
) -> None:
    # Three of VOC's twenty classes occur; seventeen zeros would leave at most 15.
    found = read_results(again / "runs/tiny/seed-0/classifier/metrics.csv")[0]
    assert found.metric == "classification/map"
    assert found.value > 30  # with two photos, no order of a tag's scores is below 50


def test_masks_that_are_ignored_everywhere_are_refused_before_training_and_scoring(
    again: Path, tiny_voc: Path
) -> None:
    for path in (tiny_voc / "SegmentationClass").iterdir():
        save_label(path, np.full_like(load_label(path), 255))
    where = [*words(tiny_voc), "data.tags=annotations"]
    shutil.rmtree(again / "runs")
    fault = "no pixel of what its photo is tagged with"
    require_refusal(oaa("reproduce", *where), fault)
    assert not (again / "runs").exists()
    said = oaa("fit", *where)  # trained, and then not scored
    assert (said.status, fault in said.last) == (2, True)
    assert (again / "runs/tiny/seed-0/classifier/done.json").is_file()


def test_scores_that_counted_absent_classes_as_zero_are_made_again(
    again: Path, tiny_voc_once: Path
) -> None:
    folder = again / "runs/tiny/seed-0/classifier"
    before = (folder / "metrics.csv").read_bytes()
    how = json.loads((folder / "scored.json").read_text())
    del how["classes"]  # as it was
    (folder / "scored.json").write_text(json.dumps(how))
    (folder / "metrics.csv").write_text("wrong")
    assert oaa("evaluate", *words(tiny_voc_once)).status == 0
    assert (folder / "metrics.csv").read_bytes() == before
