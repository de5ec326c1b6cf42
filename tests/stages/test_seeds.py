from pathlib import Path
from types import SimpleNamespace

import pytest

from oaa_pl.stages.seeds import accepted_by_seed

HISTORY = "step,name,value\n0,val/map,0.1\n9,oaa/accepted,0.5\n4,oaa/accepted,0.25\n"


def run_with(folder: Path, **histories: str) -> SimpleNamespace:
    for name, text in histories.items():
        path = folder / name.replace("_", "-") / "classifier" / "history.csv"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return SimpleNamespace(root=folder / "seed-0")


def test_the_accepted_share_is_read_for_each_seed_in_the_order_of_steps(tmp_path: Path) -> None:
    run = run_with(tmp_path, seed_0=HISTORY, seed_3=HISTORY.replace("0.5", "1"))
    assert accepted_by_seed(run) == {0: [0.25, 0.5], 3: [0.25, 1.0]}


def test_a_history_without_the_share_is_no_seed(tmp_path: Path) -> None:
    assert accepted_by_seed(run_with(tmp_path, seed_0="step,name,value\n0,loss,1\n")) == {}
    assert accepted_by_seed(run_with(tmp_path / "empty")) == {}


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", HISTORY + "x,oaa/accepted,0.5\n"])
def test_a_damaged_history_is_named_and_the_others_are_read(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_with(tmp_path, seed_0=text, seed_1=HISTORY)
    assert accepted_by_seed(run) == {1: [0.25, 0.5]}
    assert ("seed-0" in caplog.text) == bool(text)
