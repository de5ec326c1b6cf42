from pathlib import Path
from typing import Any

import pytest

from oaa_pl.callbacks.wandb import has_key, wandb_logger
from oaa_pl.errors import ConfigError


@pytest.fixture(autouse=True)
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def settings(folder: Path, **changes: object) -> dict[str, Any]:
    return {"folder": folder, "name": "a run", "project": "oaa", **changes}


def test_a_key_may_lie_in_the_environment_or_in_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_key()
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    assert has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org/")
    assert not has_key()
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert has_key()


def test_a_broken_netrc_is_no_key(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine\n")
    assert not has_key()


@pytest.mark.parametrize(
    ("offline", "key", "mode", "expected"),
    [
        ("auto", "", "", True),
        ("auto", "k", "", False),
        ("auto", "k", "offline", True),
        (True, "k", "", True),
        (False, "", "", False),
    ],
)
def test_it_is_offline_unless_a_key_is_configured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: object,
    key: str,
    mode: str,
    expected: bool,
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_MODE", mode)
    logger = wandb_logger(**settings(tmp_path / "stage", offline=offline, tags=["a"]))
    assert logger._offline is expected
    assert logger._wandb_init["tags"] == ["a"]
    assert logger.save_dir == str(tmp_path / "stage")
    assert (tmp_path / "stage").is_dir()


@pytest.mark.parametrize("tags", [[], None])
def test_no_tags_are_no_tags(tmp_path: Path, tags: list[str] | None) -> None:
    assert wandb_logger(**settings(tmp_path, tags=tags))._wandb_init["tags"] == []


def test_another_word_than_auto_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be auto, true or false, got 'maybe'"):
        wandb_logger(**settings(tmp_path, offline="maybe"))
