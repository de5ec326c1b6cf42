"""The tests' Hydra with a memory composes what Hydra composes."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf
from tests import compositions

from oaa_pl.config.compose import register
from oaa_pl.files.installed import root_of

CHOICES = [
    (),
    ("experiment=smoke", "seed=3"),
    ("experiment=voc12", "net=resnet101", "preset=release_caffe", "net.weights=none"),
    ("+callbacks@extra=compile", "fusion=both", "seed=4"),
    ("~crf", "methods=[cam]"),
]


def composed(words: tuple[str, ...], folder: Path | None = None) -> DictConfig:
    register()
    with initialize_config_dir(str(folder or root_of("conf")), version_base="1.3"):
        return compose("config", list(words), return_hydra_config=True)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra as it is."""
    monkeypatch.setattr(config_loader_impl, "create_defaults_list", compositions.find)
    name = compositions.merge.__name__
    monkeypatch.setattr(config_loader_impl.ConfigLoaderImpl, name, compositions.merge)
    monkeypatch.setattr(yaml, "SafeLoader", yaml.loader.SafeLoader)


@pytest.mark.parametrize("words", CHOICES, ids=" ".join)
def test_a_remembered_choice_is_composed_as_at_first(
    words: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    changed = composed((*words, "seed=7"))
    changed.methods = []  # what is remembered stays as it was
    found = OmegaConf.to_yaml(composed(words))
    request.getfixturevalue("forgetful")
    assert found == OmegaConf.to_yaml(composed(words))


def test_a_choice_that_there_is_not_is_an_error_each_time() -> None:
    for _ in range(2):
        with pytest.raises(MissingConfigException, match="net/nothing"):
            composed(("net=nothing",))


def test_a_folder_that_a_test_may_change_is_read_each_time(tmp_path: Path) -> None:
    for value in (1, 2):
        (tmp_path / "config.yaml").write_text(f"value: {value}\n")
        assert composed((), tmp_path).value == value
