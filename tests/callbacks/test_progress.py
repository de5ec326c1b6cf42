import re
from pathlib import Path

import pytest
from tests.callbacks.tiny_run import train
from tests.modules.test_stage import classifier
from tests.modules.tiny import loader, quiet_trainer

from oaa_pl.callbacks.progress import StageProgress, bar


def test_a_bar_says_what_is_done_and_how_fast(capsys: pytest.CaptureFixture[str]) -> None:
    with bar(10, "attend cam", initial=2) as progress:
        progress.update(3)
    shown = capsys.readouterr().err
    assert "attend cam" in shown
    assert "5/10" in shown
    assert " img/s" in shown


def test_a_log_file_gets_no_line_for_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    with bar(1000, "label") as progress:
        for _ in range(1000):
            progress.update(1)
    assert capsys.readouterr().err.count("\r") < 5


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({"max_epochs": 4}, "12/12"),
        ({"max_epochs": 4, "max_steps": 5}, "5/5"),
        ({"max_epochs": -1, "max_steps": 7}, "7/7"),
    ],
)
def test_one_bar_spans_all_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, int], end: str
) -> None:
    trainer = quiet_trainer(tmp_path, callbacks=[StageProgress("classifier")], **settings)
    trainer.fit(classifier(), loader(), loader())
    last = capsys.readouterr().err.split("\r")[-1]
    assert f"classifier: 100%|██████████| {end} " in last
    assert re.search(r"epoch \d.* loss 0\.\d{3}", last)


def test_a_resumed_bar_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, epochs=2)
    capsys.readouterr()
    train(tmp_path, epochs=4)
    bars = capsys.readouterr().err.split("\r")
    assert any(" 8/16 " in one for one in bars)  # four batches an epoch
    assert " 16/16 " in bars[-1]
