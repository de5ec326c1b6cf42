import os
from pathlib import Path
from typing import Any

import pytest
import wandb

from oaa_pl.callbacks.wandb import _run_id, has_key, wandb_logger
from oaa_pl.errors import ConfigError


@pytest.fixture(autouse=True)
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
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
        ("auto", "", "", "offline"),
        ("auto", "k", "", "online"),
        ("auto", "k", "offline", "offline"),
        ("auto", "k", "dryrun", "offline"),
        ("auto", "", "online", "online"),
        (True, "k", "", "offline"),
        (False, "", "", "online"),
        (False, "k", "disabled", "disabled"),
    ],
)
def test_it_is_offline_unless_a_key_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Any, key: str, mode: str,
    expected: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_MODE", mode)
    logger = wandb_logger(**settings(tmp_path / "stage", offline=offline, tags=["a"]))
    assert logger._wandb_init["mode"] == expected
    assert logger._wandb_init["tags"] == ["a"]
    assert logger.save_dir == str(tmp_path / "stage")
    assert (tmp_path / "stage").is_dir()


def test_the_variables_of_wandb_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PROJECT", "p"), ("ENTITY", "e"), ("NAME", "n"), ("TAGS", "b, a,c"),
                        ("RUN_GROUP", "g"), ("DIR", str(tmp_path))):  # fmt: skip
        monkeypatch.setenv(f"WANDB_{name}", value)
    made = wandb_logger(tmp_path / "stage", "a run", tags=["a"], group="own")._wandb_init
    expected = {"project": "p", "entity": "e", "name": "n: a run", "tags": ["a", "b", "c"],
                "group": "g", "dir": str(tmp_path)}  # fmt: skip
    assert {key: made[key] for key in expected} == expected
    named = wandb_logger(tmp_path / "stage", "a run", project="mine", entity="us")._wandb_init
    assert (named["project"], named["entity"]) == ("mine", "us")


def test_disabled_is_disabled_whatever_else_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DISABLED", "true")
    logger = wandb_logger(**settings(tmp_path, offline=False))
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.log_hyperparams({"seed": 0})
    logger.finalize("success")
    wandb.finish()
    assert not list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize("tags", [[], None])
def test_no_tags_are_no_tags(tmp_path: Path, tags: list[str] | None) -> None:
    assert wandb_logger(**settings(tmp_path, tags=tags))._wandb_init["tags"] == []


def test_a_wrong_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="must be auto, true or false, got 'maybe'"):
        wandb_logger(**settings(tmp_path, offline="maybe"))
    with pytest.raises(ConfigError, match="must be some of report, store, got 'weights'"):
        wandb_logger(**settings(tmp_path, artifacts=["weights"]))
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(ConfigError, match=r"WANDB_MODE must be one of .* got 'sometimes'"):
        wandb_logger(**settings(tmp_path))


def test_only_a_stage_that_is_resumed_continues_its_run(tmp_path: Path) -> None:
    first = _run_id(tmp_path)
    second = _run_id(tmp_path)  # trained again from the start
    assert first != second
    (tmp_path / "last.ckpt").touch()
    assert _run_id(tmp_path) == second
