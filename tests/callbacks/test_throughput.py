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
