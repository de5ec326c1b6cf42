"""A README's tables come from a results file."""

import pytest

from oaa_pl.errors import ConfigError
from oaa_pl.report.markdown import METRICS, markdown_tables
from oaa_pl.report.results import Row


def row(method: str, metric: str, value: float, seed: int = 0) -> Row:
    split = "val" if metric == "segmentation/miou" else "train"
    return Row("synthetic", seed, "synthetic", split, "any", method, metric, value)


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_single_seed_has_no_deviation() -> None:
    text = markdown_tables([row("cam", "attention/miou", 44.71)])
    assert cells(text, "CAM") == ["CAM", "53.9", "44.7", "–", "–", "–"]


def test_several_seeds_show_mean_and_sample_deviation() -> None:
    rows = [row("cam", "segmentation/miou", value, seed) for seed, value in enumerate((50, 52, 54))]
    assert cells(markdown_tables(rows), "CAM")[-1] == "52.0 ± 2.0"


def test_effects_are_paired_by_seed() -> None:
    rows = [
        row(method, "proxy/miou_hard", value + 10 * seed, seed)
        for seed in range(3)
        for method, value in (("cam", 40.0), ("oaa_max", 45.0))
    ]
    assert cells(markdown_tables(rows), "OAA maximum − CAM")[3] == "+5.0 ± 0.0"


def test_every_line_of_a_table_has_as_many_cells_as_its_heading() -> None:
    rows = [row(method, "attention/recall", 1) for method in ("cam", "oaa_max")]
    methods, effects = markdown_tables(rows).split("\n\n")
    for table, columns in ((methods, len(METRICS) + 2), (effects, 5)):
        assert {line.count("|") for line in table.strip().splitlines()} == {columns + 1}


def test_methods_that_the_paper_has_not_follow_its_own() -> None:
    rows = [row("tags", "proxy/miou_hard", 45.9), row("oaa_max-20pc", "segmentation/miou", 1.5)]
    rows += [row(method, "segmentation/miou", 1.0) for method in ("cam", "oaa_max")]
    text = markdown_tables(rows)
    assert cells(text, "tags alone, no attention")[1:] == ["–", "–", "–", "45.9", "–"]
    assert cells(text, "OAA, maximum (20 %)")[1:] == ["–", "–", "–", "–", "1.5"]
    assert text.index("OAA+, hybrid loss") < text.index("tags alone")


def test_shares_of_the_images_stand_in_their_order_beside_table_3() -> None:
    shares = ("oaa_plus_hybrid", "oaa_plus_hybrid-50pc", "oaa_plus_hybrid-5pc")
    text = markdown_tables([row(method, "segmentation/miou", 2) for method in shares])
    lines = [line.split(" | ")[:2] for line in text.splitlines()[2:]]
    assert lines == [
        ["| OAA+, hybrid loss (5 %)", "–"],
        ["| OAA+, hybrid loss (50 %)", "57.3"],
        ["| OAA+, hybrid loss", "59.6"],
    ]


def test_the_releases_loss_stands_for_oaa_plus_where_there_is_no_other() -> None:
    rows = [
        row(method, "proxy/miou_hard", value)
        for method, value in (("oaa_max", 40.0), ("oaa_plus_pooled", 43.0))
    ]
    pooled = cells(markdown_tables(rows), "OAA+ pooled − OAA maximum")
    assert pooled[1:] == ["+1.0", "–", "+3.0", "–"]
    text = markdown_tables([*rows, row("oaa_plus_hybrid", "proxy/miou_hard", 41.0)])
    assert cells(text, "OAA+ hybrid − OAA maximum")[3] == "+1.0"
    assert "pooled −" not in text


def test_a_measurement_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed 0"):
        markdown_tables([row("cam", "attention/miou", 1), row("cam", "attention/miou", 2)])


def test_an_undefined_score_is_a_dash_in_both_tables() -> None:
    text = markdown_tables(
        [row(method, "segmentation/miou", float("nan")) for method in ("cam", "oaa_max")]
    )
    assert "nan" not in text
    assert cells(text, "CAM")[-1] == cells(text, "OAA maximum − CAM")[-1] == "–"
