"""The whole pipeline at toy size."""

import csv
import logging
import sys
from pathlib import Path

import pytest
from tests.cases import some_quick
from tests.commands.tiny import METHODS, files, oaa, require_refusal, words

ATTENTION = {
    "attention/miou", "attention/miou_best", "attention/miou_held_out", "attention/best_threshold",
}  # fmt: skip
ATTENTION |= {"attention/precision", "attention/recall"}
LABELS = {"proxy/miou", "proxy/miou_hard", "proxy/coverage"}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs/tiny/results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_results_have_every_method_and_every_metric(finished: Path) -> None:
    found = {(row["stage"], row["method"], row["metric"]) for row in rows(finished)}
    expected = {("classifier", "", "classification/map")}
    for method in METHODS:
        expected |= {("attention", method, metric) for metric in ATTENTION}
        expected |= {("labels", method, metric) for metric in LABELS}
        expected |= {("segmenter", method, "segmentation/miou")}
    assert found == expected
    assert len(rows(finished)) == len(expected)


def test_the_results_name_run_seed_data_and_split(finished: Path) -> None:
    found = {
        (row["experiment"], row["seed"], row["dataset"], row["split"], row["stage"])
        for row in rows(finished)
    }
    splits = {"classifier": "val", "attention": "train", "labels": "train", "segmenter": "val"}
    assert found == {("tiny", "0", "voc12", split, stage) for stage, split in splits.items()}


def test_every_score_is_a_percentage(finished: Path) -> None:
    assert all(0 <= float(row["value"]) <= 100 for row in rows(finished))


def test_each_class_has_scores_of_every_scored_stage(finished: Path) -> None:
    with (finished / "runs/tiny/classes.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert {(row["stage"], row["method"]) for row in found} == {
        (stage, method) for stage in ("attention", "labels", "segmenter") for method in METHODS
    }
    results = {(row["stage"], row["method"], row["metric"]): row["value"] for row in rows(finished)}
    for method in METHODS:
        ious = [
            float(row["value"])
            for row in found
            if (row["stage"], row["method"], row["metric"]) == ("segmenter", method, "iou")
        ]
        occurring = [value for value in ious if value == value]
        mean = float(results["segmenter", method, "segmentation/miou"])
        assert sum(occurring) / len(occurring) == pytest.approx(mean, abs=1e-3)


def test_every_stage_leaves_its_record(finished: Path) -> None:
    stages = ["classifier", "integral/cross_entropy", "integral/hybrid"]
    stages += [f"{stage}/{m}" for stage in ("attention", "labels", "segmenter") for m in METHODS]
    for stage in stages:
        folder = finished / "runs/tiny/seed-0" / stage
        assert {"stage.json", "config.yaml", "done.json"} <= files(folder), stage


def test_nothing_half_written_is_left(finished: Path) -> None:
    assert not [name for name in files(finished) if "/." in name or "partial" in name]


def test_the_page_shows_table_curves_and_pictures(finished: Path) -> None:
    page = (finished / "runs/tiny/report/index.html").read_text()
    assert "oaa_plus_hybrid" in page
    assert "data:image/" in page
    assert "<svg" in page


def test_a_finished_run_is_left_as_it_is(
    again: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def stamps() -> dict[str, tuple[int, int]]:
        seed = again / "runs/tiny/seed-0"
        return {
            name: ((seed / name).stat().st_mtime_ns, (seed / name).stat().st_ino)
            for name in files(seed)
        }

    before = stamps()
    results = (again / "runs/tiny/results.csv").read_bytes()
    with caplog.at_level(logging.INFO):
        said = oaa("reproduce", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert "plan: 16 stages, 16 done" in caplog.messages
    look = caplog.messages[caplog.messages.index("finished; look at:") + 1 :]
    home, method = "runs/tiny", "seed-0/segmenter/oaa_plus_hybrid"
    assert [line.split() for line in look] == [
        ["page", f"{home}/report/index.html"], ["scores", f"{home}/results.csv"],
        ["masks", f"{home}/{method}/predictions"], ["model", f"{home}/{method}/last.ckpt"],
    ]  # fmt: skip
    assert stamps() == before
    assert (again / "runs/tiny/results.csv").read_bytes() == results


@pytest.mark.parametrize(
    ("override", "where"),
    some_quick(
        [
            (
                "classifier.optimizer.lr=0.5",
                "classifier was made with classifier.optimizer.lr=0.02",
            ),
            ("net.segmenter.hidden=9", "segmenter/cam was made with net.segmenter.hidden=8"),
            ("background.value=0.5", "labels/cam was made with background.value=0.95"),
            ("segmenter.epochs=3", "segmenter/cam was made with segmenter.epochs=2"),
            ("data.fraction=0.5", "classifier was made with data="),
        ]
    ),
)
def test_a_finished_stage_is_not_mixed_with_another_configuration(
    again: Path, tiny_voc_once: Path, override: str, where: str
) -> None:
    before = files(again)
    said = oaa("reproduce", *words(tiny_voc_once), override)
    assert said.status == 2
    assert where in said.last
    assert "name=..." in said.last
    assert files(again) == before


def test_methods_whose_store_nobody_feeds_are_refused(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("reproduce", *words(tiny_voc_once), "fusion=maximum")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "oaa_mean" in said.last
    assert "fusion=both" in said.last
    assert not files(empty)


def test_an_unknown_method_is_refused(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("reproduce", *words(tiny_voc_once), "methods=[cam,magic]")
    assert said.status == 2
    assert "'magic'" in said.last
    assert not files(empty)


@pytest.mark.parametrize("command", ["reproduce", "fit"])
@pytest.mark.parametrize("crf", ["crf=release", "crf@label.crf=release"])
def test_a_missing_extra_is_said_before_anything_is_trained(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch, crf: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    said = oaa(command, *words(tiny_voc_once), crf)
    require_refusal(said, "pip install 'oaa_pl[crf]'")
    assert not files(empty)


def test_saliency_that_lacks_is_said_before_anything_is_trained(
    empty: Path, tiny_voc_once: Path
) -> None:
    maps = empty / "maps"
    maps.mkdir()
    (maps / "2007_000002.png").touch()
    plain = [word for word in words(tiny_voc_once) if not word.startswith("background")]
    require_refusal(
        oaa("reproduce", *plain, "background=folder", f"data.saliency={maps}"),
        "lacks the saliency maps of 3 of 4 photos: 2007_000001, 2007_000003, 2007_000004",
    )
    require_refusal(oaa("reproduce", *plain, "background=folder"), "data.saliency=<folder>")
    assert files(empty) == {"maps/2007_000002.png"}
