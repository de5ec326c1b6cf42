"""Scores are made once, and again only when they are asked for in another way."""

from pathlib import Path

from tests.commands.tiny import oaa, words


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
