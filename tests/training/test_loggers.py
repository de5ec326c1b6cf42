from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping, Timer
from tests.commands.tiny import oaa, require_refusal, words

from oaa_pl.callbacks.history import HistoryLogger
from oaa_pl.config.compose import compose_group
from oaa_pl.errors import ConfigError
from oaa_pl.training.loggers import for_training, make_callbacks, make_loggers

TIMER = {"_target_": "pytorch_lightning.callbacks.Timer"}
STOP = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss"}


def configured(folder: Path, **parts: Any) -> DictConfig:
    """What a stage gives to its loggers and callbacks."""
    empty = {"folder": None, "name": None, "stage": None}
    cfg = {"name": "tiny", "seed": 3, "runs": str(folder / "runs"), "training": empty, **parts}
    return for_training(OmegaConf.create(cfg), folder, "classifier")


def test_a_node_may_refer_to_the_stage(tmp_path: Path) -> None:
    cfg = configured(tmp_path)
    assert dict(cfg.training) == {
        "folder": str(tmp_path), "name": "tiny seed 3 classifier", "stage": "classifier",
    }  # fmt: skip


def test_csv_is_the_history_in_the_folder_of_the_stage(tmp_path: Path) -> None:
    (logger,) = make_loggers(configured(tmp_path, logger=compose_group("logger", "csv")))
    assert isinstance(logger, HistoryLogger)
    assert logger.path == tmp_path / "history.csv"


def test_callbacks_may_be_a_mapping_or_a_list(tmp_path: Path) -> None:
    named = make_callbacks(configured(tmp_path, callbacks={"a": TIMER, "b": STOP, "c": None}))
    listed = make_callbacks(configured(tmp_path, callbacks=[TIMER, STOP]))
    for made in (named, listed):
        assert [type(one) for one in made] == [Timer, EarlyStopping]
    assert make_callbacks(configured(tmp_path, callbacks=None)) == []


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "nosuch.Thing"}, "nosuch.*a Lightning callback that Python can import"),
        ({"_target_": "math.sqrt", "_args_": [1.0]}, "makes a float"),
        ({"file": "x"}, "makes a dict"),
    ],
)
def test_what_is_no_callback_is_named(tmp_path: Path, node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"callbacks: .*{message}"):
        make_callbacks(configured(tmp_path, callbacks={"mine": node}))


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_logger_that_is_not_installed_names_its_extra(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"pytorch_lightning.loggers.{name}"
    for switch in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE", "_MLFLOW_AVAILABLE"):
        monkeypatch.setattr(f"{module}.{switch}", False, raising=False)
    # Lightning's TensorBoard logger asks in the module below it.
    for switch in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning_fabric.loggers.tensorboard.{switch}", False)
    monkeypatch.setattr("oaa_pl.training.loggers._extras", lambda: ["tensorboard", "mlflow"])
    cfg = configured(tmp_path, logger=compose_group("logger", name))
    with pytest.raises(ConfigError, match=rf"logger: .*pip install 'oaa_pl\[{name}\]'"):
        make_loggers(cfg)


def test_tensorboard_writes_into_the_folder_of_each_stage(empty: Path, tiny_voc_once: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'tensorboard'")
    said = oaa("fit", *words(tiny_voc_once), "logger=tensorboard")
    assert said.status == 0, said.err
    stage = empty / "runs/tiny/seed-0/classifier"
    assert list((stage / "tensorboard").glob("events.*"))
    assert (stage / "history.csv").is_file()


def test_without_a_logger_nothing_is_logged(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "logger=none")
    assert said.status == 0, said.err
    stage = empty / "runs/tiny/seed-0/classifier"
    assert not (stage / "history.csv").exists()
    assert oaa("report", *words(tiny_voc_once), "logger=none").status == 0


def test_one_of_several_loggers_that_cannot_be_made_is_refused_before_training(
    empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", *words(tiny_voc_once), "+logger.mine={_target_: nosuch.Logger}")
    require_refusal(said, "logger: ", "a Lightning logger that Python can import")
