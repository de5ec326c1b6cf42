import logging
import re
from pathlib import Path

import pytest
from tests.modules.test_stage import classifier
from tests.modules.tiny import loader, quiet_trainer

from oaa_pl.callbacks.throughput import Throughput


def test_images_are_counted_over_the_epochs_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 102.0, 200.0, 203.0])
    monkeypatch.setattr("oaa_pl.callbacks.throughput.perf_counter", lambda: next(clock))
    for epochs, rate in ((1, 6 / 2), (1, 6 / 3)):
        trainer = quiet_trainer(tmp_path, max_epochs=epochs, callbacks=[Throughput()])
        trainer.fit(classifier(), loader(), loader())
        assert float(trainer.callback_metrics["train/images_per_second"]) == rate


def test_a_stages_images_per_cpu_second_are_reported_without_its_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Two epochs: 1 s up to the validation, which takes 50, and 0.5 s after it.
    clock = iter([10.0, 11.0, 61.0, 61.5, 100.0, 101.0, 151.0, 151.5])
    monkeypatch.setattr("oaa_pl.callbacks.throughput.process_time", lambda: next(clock))
    trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[Throughput("toy", "32-true")])
    with caplog.at_level(logging.INFO, "oaa_pl"):
        trainer.fit(classifier(), loader(), loader())
    (line,) = [one for one in caplog.messages if one.startswith("toy")]
    assert re.match(r"toy, precision 32-true: 4 images per CPU-second, \d", line)


def test_nothing_is_reported_of_a_training_without_a_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oaa_pl"):
        trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[Throughput()])
        trainer.fit(classifier(), loader(), loader())
    assert not [one for one in caplog.messages if "CPU-second" in one]
