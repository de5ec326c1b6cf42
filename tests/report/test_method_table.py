import math
from dataclasses import replace

from tests.report.results_rows import made_up_rows

from oaa_pl.report.method_table import method_table, other_table
from oaa_pl.report.methods import methods
from oaa_pl.report.results import Row

COLUMNS = ["attention/miou", "attention/miou_best", "attention/precision", "attention/recall"]
COLUMNS += ["proxy/miou", "proxy/miou_hard", "proxy/coverage", "segmentation/miou"]


def test_every_method_stands_beside_the_papers_number() -> None:
    table = method_table(made_up_rows())
    rows = [one for one in methods().values() if one.row is not None]
    assert [row.method for row in table.rows] == [one.name for one in rows]
    assert [row.paper for row in table.rows] == [f"{one.paper:.1f}" for one in rows]


def test_the_columns_are_grouped_by_what_is_measured_and_where() -> None:
    table = method_table(made_up_rows())
    assert [(group.title, group.split) for group in table.groups] == [
        ("Attention maps", "train"),
        ("Proxy labels", "train"),
        ("Segmentation", "val"),
    ]
    assert [metric for group in table.groups for metric, _ in group.metrics] == COLUMNS


def test_one_seed_shows_its_value_without_a_deviation() -> None:
    cell = method_table(made_up_rows()).rows[0].cells[0]
    assert (cell.text, cell.deviation, cell.seeds) == ("30.0", "", "seed 0: 30.00")


def test_three_seeds_show_mean_and_deviation_and_each_seed() -> None:
    cell = method_table(made_up_rows((0, 1, 2))).rows[2].cells[0]
    # 35, 36.5, 38: mean 36.5, sample deviation 1.5.
    assert (cell.text, cell.deviation) == ("36.5", "± 1.5")
    assert cell.seeds == "seed 0: 35.00, seed 1: 36.50, seed 2: 38.00"


def test_the_oracle_says_its_threshold() -> None:
    assert method_table(made_up_rows()).rows[0].cells[1].note == "at 0.25"
    assert method_table(made_up_rows((0, 1))).rows[0].cells[1].note == "at 0.25 ± 0.00"


def test_the_best_of_each_column_is_marked_but_never_a_coverage() -> None:
    table = method_table(made_up_rows())
    best = [[row.method for row in table.rows if row.cells[c].best] for c in range(len(COLUMNS))]
    assert best == [["oaa_plus_hybrid"]] * 6 + [[]] + [["oaa_plus_hybrid"]]


def test_the_control_is_shown_last_and_is_the_best_of_nothing() -> None:
    control = Row("toy", 0, "synthetic", "train", "labels", "tags", "proxy/miou", 99.0)
    table = method_table([*made_up_rows(), control])
    assert (table.rows[-1].title, table.rows[-1].paper) == ("tags alone, no attention", "–")
    assert not any(cell.best for cell in table.rows[-1].cells)
    best = [row.method for row in table.rows if row.cells[COLUMNS.index("proxy/miou")].best]
    assert best == ["oaa_plus_hybrid"]


def test_methods_that_did_not_run_stay_in_the_table_as_such() -> None:
    table = method_table(made_up_rows(methods=("cam",)))
    assert [row.measured for row in table.rows] == [True, False, False, False, False]
    assert all(cell.text == "–" for row in table.rows[1:] for cell in row.cells)
    # A single method is not the best of anything.
    assert not any(cell.best for cell in table.rows[0].cells)


def test_a_method_unknown_to_the_paper_follows_under_its_own_name() -> None:
    table = method_table(made_up_rows(methods=("cam", "<b>mine")))
    assert (table.rows[-1].title, table.rows[-1].paper) == ("<b>mine", "–")


def test_a_cell_with_fewer_seeds_than_the_run_says_so() -> None:
    rows = [r for r in made_up_rows((0, 1)) if (r.seed, r.method) != (1, "cam")]
    table = method_table(rows)
    assert table.rows[0].cells[0].note == "n = 1"
    assert table.rows[1].cells[0].note == ""


def test_one_metric_on_two_splits_gets_two_columns() -> None:
    rows = made_up_rows()
    rows += [replace(r, split="test") for r in rows if r.metric == "segmentation/miou"]
    groups = [(group.title, group.split) for group in method_table(rows).groups]
    assert groups[-2:] == [("Segmentation", "test"), ("Segmentation", "val")]


def test_an_undefined_value_is_a_dash_that_is_called_so_and_is_not_the_best() -> None:
    rows = [
        replace(r, value=math.nan) if r.method == "cam" else r
        for r in made_up_rows(methods=("cam", "oaa_max"))
    ]
    table = method_table(rows)
    assert {(cell.text, cell.note) for cell in table.rows[0].cells} == {("–", "undefined")}
    assert not any(cell.best for row in table.rows for cell in row.cells)


def test_no_measurement_is_hidden() -> None:
    rows = [
        *made_up_rows(),
        Row("toy", 0, "synthetic", "val", "x", "cam", "segmentation/iou/cat", 3.0),
    ]
    methods, others = other_table(rows)
    assert methods == ("CAM", "all methods")
    assert [(row.metric, row.split) for row in others] == [
        ("classification/map", "val"),
        ("segmentation/iou/cat", "val"),
    ]
    texts = {row.metric: sorted(cell.text for cell in row.cells) for row in others}
    assert texts == {"classification/map": ["80.00", "–"], "segmentation/iou/cat": ["3.00", "–"]}


def test_a_seed_without_a_score_does_not_take_the_others_mean_away() -> None:
    rows = [
        replace(r, value=math.nan) if (r.method, r.seed) == ("cam", 1) else r
        for r in made_up_rows((0, 1, 2), methods=("cam", "oaa_max"))
    ]
    first = method_table(rows).rows[0].cells[0]
    assert (first.text, first.note) == ("31.0", "n = 2")
