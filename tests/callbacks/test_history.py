from pathlib import Path

import pytest

from oaa_pl.callbacks.history import HistoryLogger

HEADER = "step,name,value\n"


def logged(folder: Path, *rows: tuple[int, dict[str, float]]) -> str:
    """The log after one process has logged these."""
    logger = HistoryLogger(folder)
    for step, metrics in rows:
        logger.log_metrics(metrics, step)
    return logger.path.read_text()


def test_values_are_appended_as_long_rows(tmp_path: Path) -> None:
    text = logged(tmp_path / "new", (0, {"a": 1.0, "b": 1 / 3}), (1, {"a": 1e-9}))
    assert text == HEADER + "0,a,1\n0,b,0.333333\n1,a,1e-09\n"


def test_lightnings_epoch_counter_is_left_out(tmp_path: Path) -> None:
    assert logged(tmp_path, (4, {"epoch": 1.0, "a": 2.0})) == HEADER + "4,a,2\n"


def test_a_resumed_run_repeats_no_row(tmp_path: Path) -> None:
    whole = [(step, {"a": float(step)}) for step in range(6)]
    expected = logged(tmp_path / "whole", *whole)
    logged(tmp_path / "part", *whole[:5])
    assert logged(tmp_path / "part", *whole[3:]) == expected


def test_a_run_that_starts_anew_starts_its_log_anew(tmp_path: Path) -> None:
    logged(tmp_path, (0, {"a": 1.0}), (5, {"a": 2.0}))
    assert logged(tmp_path, (0, {"a": 3.0})) == HEADER + "0,a,3\n"


@pytest.mark.parametrize("half", ["3", "3,", "3,a", "3,a,", "x,a,1\n"])
def test_a_row_that_a_crash_cut_short_is_dropped(tmp_path: Path, half: str) -> None:
    (tmp_path / "history.csv").write_text(HEADER + "2,a,1\n" + half)
    assert logged(tmp_path, (4, {"a": 5.0})) == HEADER + "2,a,1\n4,a,5\n"


def test_nothing_is_written_before_something_is_logged(tmp_path: Path) -> None:
    HistoryLogger(tmp_path).log_hyperparams({"lr": 1})
    assert list(tmp_path.iterdir()) == []
