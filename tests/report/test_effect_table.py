from dataclasses import replace

import pytest
from tests.report.results_rows import made_up_rows

from oaa_pl.report.effect_table import effect_table, paired_difference
from oaa_pl.report.results import Key, summary

CAM = Key("val", "cam", "segmentation/miou")
MAX = Key("val", "oaa_max", "segmentation/miou")


def test_a_difference_is_taken_seed_by_seed() -> None:
    estimate = paired_difference(summary(made_up_rows((0, 1, 2))), MAX, CAM)
    assert estimate is not None
    # What the seed does to both methods, a point each, has cancelled out.
    assert estimate.by_seed == ((0, 5.0), (1, 5.5), (2, 6.0))
    assert [estimate.mean, estimate.deviation] == pytest.approx([5.5, 0.5])


def test_only_seeds_that_both_methods_have_are_compared() -> None:
    rows = [r for r in made_up_rows((0, 1, 2)) if (r.seed, r.method) != (1, "cam")]
    estimate = paired_difference(summary(rows), MAX, CAM)
    assert estimate is not None
    assert [seed for seed, _ in estimate.by_seed] == [0, 2]
    rows = [r for r in rows if (r.method == "cam") == (r.seed == 0)]
    assert paired_difference(summary(rows), MAX, CAM) is None
    assert paired_difference(summary(rows), MAX, CAM._replace(method="absent")) is None


def test_the_papers_effects_stand_beside_ours() -> None:
    table = effect_table(made_up_rows((0, 1, 2)))
    assert table is not None
    assert table.columns == (("Proxy labels, hard mIoU", "train"), ("Segmentation, mIoU", "val"))
    assert [row.paper for row in table.rows] == ["+4.7", "+3.1", "+1.6", "+1.0", "+8.4"]
    ours = [[one.cell.text for one in row.cells] for row in table.rows]
    assert ours == [["+5.5"] * 2, ["+3.0"] * 2, ["+2.5"] * 2, ["+0.5"] * 2, ["+8.0"] * 2]
    assert table.rows[0].cells[0].cell.note == "+5.0, +5.5, +6.0"


def test_a_verdict_needs_a_difference_beyond_its_deviation() -> None:
    table = effect_table(made_up_rows((0, 1, 2)))
    assert table is not None
    assert {one.tone for one in table.rows[0].cells} == {"for"}
    # Hybrid - maximum: 1, 0.5, 0: mean 0.5, deviation 0.5.
    assert {one.verdict for one in table.rows[3].cells} == {"within its deviation"}


def test_one_seed_gets_no_verdict_about_deviation() -> None:
    table = effect_table(made_up_rows())
    assert table is not None
    cell = table.rows[0].cells[0]
    assert (cell.verdict, cell.cell.deviation, cell.cell.note) == ("as the paper, one seed", "", "")


def test_a_difference_against_the_paper_is_said_plainly() -> None:
    rows = [replace(r, value=100 - r.value) for r in made_up_rows((0, 1, 2))]
    table = effect_table(rows)
    assert table is not None
    assert table.rows[0].cells[0].cell.text == "−5.5"
    assert table.rows[0].cells[0].verdict == "against the paper, beyond its deviation"
    one_seed = effect_table([r for r in rows if r.seed == 0])
    assert one_seed is not None
    assert one_seed.rows[0].cells[0].verdict == "against the paper, one seed"
    equal = effect_table([replace(r, value=50.0) for r in rows if r.seed == 0])
    assert equal is not None
    assert equal.rows[0].cells[0].verdict == "no difference"


def test_every_mark_lies_on_its_strip() -> None:
    table = effect_table(made_up_rows((0, 1, 2)))
    assert table is not None
    for row in table.rows:
        assert [mark.kind for mark in row.marks] == ["paper", "ours-0", "ours-1"]
        assert all(0 <= mark.x <= table.width and mark.y <= row.height for mark in row.marks)
        assert all(mark.low <= mark.x <= mark.high for mark in row.marks[1:])


def test_an_effect_that_was_not_measured_keeps_its_row() -> None:
    table = effect_table(made_up_rows(methods=("cam", "oaa_max")))
    assert table is not None
    assert [row.cells[0].verdict for row in table.rows] == [
        "as the paper, one seed",
        *["not measured"] * 4,
    ]
    assert len(table.rows[1].marks) == 1


def test_without_any_difference_there_is_no_table() -> None:
    assert effect_table(made_up_rows(methods=("cam",))) is None
    assert effect_table([r for r in made_up_rows() if r.stage == "attention"]) is None
