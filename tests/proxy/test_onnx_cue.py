"""The ONNX cue keeps what its model sees; the model itself is tested in test_saliency_model.py."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tests.proxy.tiny_onnx import save_model

from oaa_pl.errors import ConfigError
from oaa_pl.files.installed import root_of
from oaa_pl.proxy.onnx_cue import OnnxCue
from oaa_pl.proxy.saliency_model import SaliencyModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTO = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8)


def needs_the_extra() -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'saliency' is not installed")


def cue(cache: Path | None, path: Path, size: int = 8, channel: int = 0) -> OnnxCue:
    model = save_model(path, channel=channel)
    return OnnxCue(cache, model, size, MEAN, STD)


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one whenever a model is asked."""
    calls: list[str] = []
    original = SaliencyModel.__call__

    def counted(self: SaliencyModel, photo: np.ndarray) -> np.ndarray:
        calls.append(self.digest)
        return original(self, photo)

    monkeypatch.setattr(SaliencyModel, "__call__", counted)
    return calls


def test_a_kept_map_equals_a_fresh_one_in_steps_of_gray(
    tmp_path: Path, computed: list[str]
) -> None:
    needs_the_extra()
    red = PHOTO[..., 0].astype(float)
    levels = np.rint(255 * (red - red.min()) / (red.max() - red.min()))
    path, cache = tmp_path / "tiny.onnx", tmp_path / "cache"
    for found in (cue(None, path), cue(cache, path), cue(cache, path)):
        assert np.array_equal(found("a", PHOTO) * 255, levels.astype(np.float32))
    assert len(computed) == 2
    assert [one.name for one in kept(cache)] == ["a.png"]


def test_another_model_of_the_same_name_keeps_its_own_maps(
    tmp_path: Path, computed: list[str]
) -> None:
    needs_the_extra()
    path, cache = tmp_path / "tiny.onnx", tmp_path / "cache"
    maps = [cue(cache, path, channel=channel)("a", PHOTO) for channel in (0, 1, 0)]
    assert np.array_equal(maps[0], maps[2])
    assert not np.array_equal(maps[0], maps[1])
    assert len(set(computed)) == len(computed) == 2


def test_a_model_keeps_its_maps_where_it_lies_elsewhere(
    tmp_path: Path, computed: list[str]
) -> None:
    needs_the_extra()
    for name in ("one.onnx", "other.onnx"):
        cue(tmp_path / "cache", tmp_path / name)("a", PHOTO)
    assert len(computed) == 1


def test_a_changed_number_or_photo_makes_a_new_map(tmp_path: Path, computed: list[str]) -> None:
    needs_the_extra()
    path, cache = tmp_path / "tiny.onnx", tmp_path / "cache"
    for size, photo in ((8, PHOTO), (4, PHOTO), (8, PHOTO[::-1])):
        cue(cache, path, size=size)("a", photo)
    assert len(computed) == 3


def test_worker_processes_can_have_a_copy(tmp_path: Path) -> None:
    needs_the_extra()
    original = cue(tmp_path / "cache", tmp_path / "tiny.onnx")
    copy = pickle.loads(pickle.dumps(original))
    assert np.array_equal(original("a", PHOTO), copy("b", PHOTO))


def configured(folder: Path, model: Path | None) -> OnnxCue:
    conf = root_of("conf")
    settings = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml"), resolve=False)
    assert isinstance(settings, dict)
    config = OmegaConf.create(
        {
            "runs": str(folder),
            "data": {"name": "voc12", "saliency": None},
            "saliency": {**settings["saliency"], "model": model and str(model)},
            "background": OmegaConf.load(conf / "background" / "onnx.yaml"),
        }
    )
    found = instantiate(config.background)
    assert isinstance(found, OnnxCue)
    return found


def test_it_is_built_from_its_configuration(tmp_path: Path) -> None:
    needs_the_extra()
    found = configured(tmp_path, save_model(tmp_path / "tiny.onnx"))
    assert (found.model.size, found.model.mean, found.model.std) == (320, MEAN, STD)
    found("a", PHOTO)
    (path,) = kept(tmp_path / ".cache/voc12")
    assert path.parent.name.startswith("onnx-")


def test_without_a_model_it_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(InstantiationException, match=r"saliency\.model is not set") as raised:
        configured(tmp_path, None)
    assert isinstance(raised.value.__cause__, ConfigError)
