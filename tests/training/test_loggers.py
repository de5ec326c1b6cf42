from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.loggers.logger import Logger
from tests.commands.tiny import oaa, require_refusal, words

from oaa_pl.callbacks.history import HistoryLogger
from oaa_pl.config.compose import compose_group, overridden
from oaa_pl.errors import ConfigError
from oaa_pl.training.loggers import BLANKS, filled_in, make_all, named_nodes

TIMER = {"_target_": "pytorch_lightning.callbacks.Timer"}
STOP = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss"}


def logger_nodes(name: str) -> Any:
    """The nodes of `logger=NAME`, as a stage gets them."""
    group = {"logger": compose_group("logger", name), "training": dict(BLANKS)}
    cfg = overridden(OmegaConf.create({"name": "tiny", "runs": "runs"}), group)
    return OmegaConf.to_container(cfg, resolve=True)["logger"]  # type: ignore[index, call-overload]  # a mapping


def loggers(folder: Path, name: str) -> list[Logger]:
    made = {
        key: filled_in(recipe, folder, "tiny seed 3", "classifier")
        for key, recipe in named_nodes(logger_nodes(name), "logger").items()
    }
    return make_all(made, Logger, "logger")


def callbacks(nodes: Any) -> list[Callback]:
    return make_all(named_nodes(nodes, "callbacks"), Callback, "callbacks")


def test_a_node_may_refer_to_the_stage() -> None:
    node = {"_target_": "x.Y", "at": [BLANKS["folder"] + "/z"], "of": BLANKS["name"]}
    (recipe,) = named_nodes({"mine": node}, "logger").values()
    filled = filled_in(recipe, Path("runs/a"), "tiny seed 3", "classifier").key
    assert filled == {"_target_": "x.Y", "at": ["runs/a/z"], "of": "tiny seed 3 classifier"}


def test_csv_is_the_history_in_the_folder_of_the_stage(tmp_path: Path) -> None:
    (logger,) = loggers(tmp_path, "csv")
    assert isinstance(logger, HistoryLogger)
    assert logger.path == tmp_path / "history.csv"


def test_callbacks_may_be_a_mapping_or_a_list() -> None:
    for nodes in ({"a": TIMER, "b": STOP, "c": None}, [TIMER, STOP]):
        assert [type(one) for one in callbacks(nodes)] == [Timer, EarlyStopping]
    assert callbacks(None) == []


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "nosuch.Thing"}, "nosuch.*a Lightning callback that Python can import"),
        ({"_target_": "math.sqrt", "_args_": [1.0]}, "makes a float"),
        ({"file": "x"}, "makes a dict"),
    ],
)
def test_what_is_no_callback_is_named(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"callbacks: .*{message}"):
        callbacks({"mine": node})


def test_a_text_is_refused_in_the_place_of_nodes() -> None:
    with pytest.raises(ConfigError, match=r"callbacks must map names to nodes .* got 'Timer'"):
        callbacks("Timer")


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
    with pytest.raises(ConfigError, match=rf"logger: .*pip install 'oaa_pl\[{name}\]'"):
        loggers(tmp_path, name)


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
