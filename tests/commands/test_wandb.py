"""`logger=wandb` without a network: it writes a run into each stage's folder and never waits."""

from pathlib import Path

import pytest
from tests.commands.tiny import oaa, words


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no netrc
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # whoever asks the network, fails
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_every_job_of_a_sweep_writes_an_offline_run_of_its_own(
    no_key: None, empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", *words(tiny_voc_once), "logger=wandb", "seed=0,1", "-m")
    assert said.status == 0, said.err
    for seed in (0, 1):
        stage = empty / f"runs/tiny/seed-{seed}/classifier"
        assert len(list(stage.glob("wandb/offline-run-*/*.wandb"))) == 1
        assert list(stage.glob("wandb/offline-run-*/files/media/images/*attention*.png"))
        assert (stage / "history.csv").is_file()
    assert not (empty / "wandb").exists()


def test_another_word_for_offline_is_refused(
    no_key: None, empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", *words(tiny_voc_once), "logger=wandb", "logger.wandb.offline=perhaps")
    assert said.status == 2
    assert "offline must be auto, true or false, got 'perhaps'" in said.last
