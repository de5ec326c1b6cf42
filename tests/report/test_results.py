import math
from dataclasses import replace
from pathlib import Path

import pytest

from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.report.results import COLUMNS, Key, Row, collect, read_results, summary, write_rows

HEADER = "experiment,seed,dataset,split,stage,method,metric,value\n"
ROW = Row("toy", 0, "synthetic", "val", "segmenter", "cam", "segmentation/miou", 53.9)


def finished_stage(folder: Path, rows: list[Row]) -> None:
    write_rows(folder / "metrics.csv", rows)
    (folder / "done.json").write_text("{}")


def test_the_columns_are_those_of_the_design() -> None:
    assert ",".join(COLUMNS) + "\n" == HEADER


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, seed=1, value=54.1234), replace(ROW, method='a,"b"', value=0.0)]
    write_rows(tmp_path / "results.csv", rows)
    assert read_results(tmp_path / "results.csv") == sorted(rows)


def test_equal_rows_in_any_order_make_equal_bytes(tmp_path: Path) -> None:
    rows = [replace(ROW, seed=seed, value=50 + seed / 3) for seed in range(12)]
    write_rows(tmp_path / "a.csv", rows)
    write_rows(tmp_path / "b.csv", reversed(rows))
    content = (tmp_path / "a.csv").read_bytes()
    assert content == (tmp_path / "b.csv").read_bytes()
    assert b"\r" not in content
    assert b",50.3333\n" in content
    # Seeds sort as numbers: 2 before 10.
    assert [row.seed for row in read_results(tmp_path / "a.csv")] == list(range(12))


def test_a_negative_zero_is_written_as_zero(tmp_path: Path) -> None:
    write_rows(tmp_path / "results.csv", [replace(ROW, value=-0.00001)])
    assert (tmp_path / "results.csv").read_text().endswith(",0.0000\n")


def test_an_undefined_value_survives_the_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "results.csv", [replace(ROW, value=math.nan)])
    assert math.isnan(read_results(tmp_path / "results.csv")[0].value)


def test_an_infinite_value_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a finite segmentation/miou"):
        write_rows(tmp_path / "results.csv", [replace(ROW, value=math.inf)])
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one value per measurement"):
        write_rows(tmp_path / "results.csv", [ROW, replace(ROW, value=1.0)])


def test_a_byte_order_mark_and_blank_lines_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(
        "\ufeff" + HEADER + "\ntoy,0,synthetic,val,segmenter,cam,segmentation/miou,53.9\n"
    )
    assert read_results(path) == [ROW]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"results\.csv, line 1: expected the columns"),
        ("a,b\n", r"results\.csv, line 1: expected the columns .* got a,b"),
        (HEADER + "x,0,d,s,t,m,n,1\nx,0,d\n", r"results\.csv, line 3: expected 8 fields, got 3"),
        (HEADER + "x,zero,d,s,t,m,n,1\n", r"line 2: .* got 'zero' and '1'"),
        (HEADER + "x,0,d,s,t,m,n,high\n", r"line 2: .* got '0' and 'high'"),
        (HEADER + "x,0,d,s,t,m,n,inf\n", r"line 2: expected a finite value"),
    ],
)
def test_a_malformed_table_is_named_by_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_results(tmp_path / "results.csv")


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="expected UTF-8"):
        read_results(tmp_path / "results.csv")


def test_a_missing_table_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="run `oaa evaluate` first"):
        read_results(tmp_path / "results.csv")


def test_collect_gathers_every_finished_stage_of_every_seed(tmp_path: Path) -> None:
    rows = [replace(ROW, seed=seed, value=50.0 + seed) for seed in (2, 0, 1)]
    for row in rows:
        finished_stage(tmp_path / f"seed-{row.seed}" / "segmenter" / "cam", [row])
    assert collect(tmp_path) == sorted(rows)
    assert read_results(tmp_path / "results.csv") == sorted(rows)
    before = (tmp_path / "results.csv").read_bytes()
    collect(tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before


def test_collect_leaves_out_interrupted_stages_and_training_logs(tmp_path: Path) -> None:
    finished_stage(tmp_path / "seed-0/segmenter/cam", [ROW])
    write_rows(tmp_path / "seed-0/segmenter/oaa_max/metrics.csv", [replace(ROW, method="oaa_max")])
    log = tmp_path / "seed-0/segmenter/cam/logs/metrics.csv"
    log.parent.mkdir()
    log.write_text("epoch,step,train/loss\n0,1,0.5\n")
    assert collect(tmp_path) == [ROW]


def test_collect_without_any_metrics_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no finished stage with metrics"):
        collect(tmp_path)


def test_a_summary_is_the_mean_and_the_sample_deviation() -> None:
    values = [50.0, 53.0, 55.0]
    rows = [replace(ROW, seed=seed, value=value) for seed, value in enumerate(values)]
    ((key, estimate),) = summary(rows).items()
    assert key == Key("val", "cam", "segmentation/miou")
    mean = sum(values) / 3
    assert estimate.mean == pytest.approx(mean)
    assert estimate.deviation == pytest.approx(
        math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    )
    assert estimate.n == 3
    assert estimate.by_seed == ((0, 50.0), (1, 53.0), (2, 55.0))


def test_one_seed_has_no_deviation() -> None:
    (estimate,) = summary([ROW]).values()
    assert (estimate.mean, estimate.deviation, estimate.n) == (53.9, None, 1)


def test_mixed_data_sets_are_refused_instead_of_averaged() -> None:
    with pytest.raises(ConfigError, match="one experiment and one data set at a time"):
        summary([ROW, replace(ROW, dataset="voc12")])
