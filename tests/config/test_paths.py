from pathlib import Path

import pytest
from omegaconf import OmegaConf

from oaa_pl.config.paths import expand_paths, is_path
from oaa_pl.files.home import expanded


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


def test_every_path_of_a_configuration_is_expanded_wherever_it_was_written(home: str) -> None:
    cfg = OmegaConf.create(
        {
            "runs": "~/runs",
            "name": "~",
            "data": {
                "root": 2012,
                "tag_file": "$HOME/tags.csv",
                "saliency": None,
                "name": "$HOME",
                "train": {"root": "${data.root}", "tag_file": "~/other.csv"},
                "val": None,
                "mask_folder": "???",
            },
            "background": {"cache": "${runs}/.cache", "fallback": {"folder": "~/maps"}},
            "predict": {"photos": "~nobody-has-this-name/x"},
        }
    )
    expand_paths(cfg)
    assert cfg.runs == f"{home}/runs"
    assert cfg.data.root == cfg.data.train.root == "2012"
    assert cfg.data.tag_file == f"{home}/tags.csv"
    assert cfg.data.train.tag_file == f"{home}/other.csv"
    assert cfg.background.cache == f"{home}/runs/.cache"
    assert cfg.background.fallback.folder == f"{home}/maps"
    assert cfg.predict.photos == "~nobody-has-this-name/x"
    assert (cfg.name, cfg.data.name, cfg.data.saliency) == ("~", "$HOME", None)
    assert OmegaConf.is_missing(cfg.data, "mask_folder")


def test_which_keys_are_paths() -> None:
    for key in ("runs", "data.root", "data.val_tag_file", "background.fallback.folder"):
        assert is_path(key)
    for key in ("name", "data.name", "data", "root", "data.classes", "seed"):
        assert not is_path(key)


def test_an_address_is_no_path(home: str) -> None:
    assert expanded("http://$HOME/~") == "http://$HOME/~"
    assert expanded("~") == home
    assert Path(expanded("a/~/b")) == Path("a/~/b")
