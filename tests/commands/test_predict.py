"""Masks and overlays for new photos; what is no photo is named."""

import importlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tests.cases import some_quick
from tests.commands.tiny import files, oaa, require_refusal, words

from oaa_pl.data.images import read_photo
from oaa_pl.proxy.palette import load_label
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.trained import label_photo

CHECKPOINT = "runs/tiny/seed-0/segmenter/oaa_max/last.ckpt"


@pytest.fixture
def holiday(tiny_voc_once: Path, tmp_path: Path) -> Path:
    """A folder with two photos, a broken file and a text file."""
    folder = tmp_path / "holiday"
    (folder / "beach").mkdir(parents=True)
    photos = tiny_voc_once / "JPEGImages"
    shutil.copy(photos / "2007_000005.jpg", folder / "cat.jpg")
    Image.open(photos / "2007_000006.jpg").save(folder / "beach/cat.png")
    (folder / "broken.jpg").write_bytes((photos / "2007_000001.jpg").read_bytes()[:300])
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_photos_get_masks_and_overlays_and_the_rest_is_named(
    again: Path, tiny_voc_once: Path, holiday: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        said = oaa("predict", *words(tiny_voc_once), f"predict.photos={holiday}")
    assert said.status == 0, said.err
    made = files(again / "predictions")
    both = {
        f"{kind}/{name}"
        for kind in ("masks", "overlays")
        for name in ("cat.jpg.png", "beach/cat.png.png")
    }
    assert made == both | {"classes.txt", "manifest.jsonl", "writer.lock"}
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 2
    assert "broken.jpg" in warned[0]
    assert "notes.txt" in warned[1]
    assert "2 of 4 files" in caplog.text


def test_a_mask_has_its_photo_s_size_and_known_ids(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    oaa("predict", *words(tiny_voc_once), f"predict.photos={holiday}")
    mask = load_label(again / "predictions/masks/cat.jpg.png")
    with Image.open(holiday / "cat.jpg") as photo:
        assert mask.shape == photo.size[::-1]
    assert mask.max() <= 20
    names = (again / "predictions/classes.txt").read_text().splitlines()
    assert names[0] == "0 background"
    assert names[8] == "8 cat"
    assert len(names) == 21


def test_the_checkpoint_knows_its_network_and_its_classes(
    again: Path, holiday: Path, tmp_path: Path
) -> None:
    # Nothing said of data or net: the folder of the checkpoint does.
    said = oaa(
        "predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}",
        "predict.output=elsewhere", "evaluate.flip=true", "evaluate.scales=[1.0,1.5]",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert "masks/cat.jpg.png" in files(again / "elsewhere")


def test_what_was_predicted_before_is_no_new_photo(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    arguments = (*words(tiny_voc_once), f"predict.photos={holiday}")
    for _ in range(2):
        assert oaa("predict", *arguments, f"predict.output={holiday}/made").status == 0
    assert len(files(holiday / "made/masks")) == 2


@pytest.mark.parametrize("content", [None, b"", b"no photo"])
def test_a_folder_without_one_readable_photo_is_an_error(
    again: Path, tiny_voc_once: Path, tmp_path: Path, content: bytes | None
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    if content is not None:
        (folder / "a.jpg").write_bytes(content)
    said = oaa("predict", *words(tiny_voc_once), f"predict.photos={folder}")
    assert said.status == 2
    assert f"{folder}: none of its {int(content is not None)} files" in said.last
    assert not (again / "predictions").exists()


def test_a_classifier_s_checkpoint_is_refused(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    said = oaa(
        "predict", *words(tiny_voc_once), f"predict.photos={holiday}",
        "predict.checkpoint=runs/tiny/seed-0/classifier/last.ckpt",
    )  # fmt: skip
    assert said.status == 2
    assert "not a segmenter" in said.last


def test_a_checkpoint_alone_is_asked_for_its_configuration(
    again: Path, holiday: Path, tmp_path: Path
) -> None:
    shutil.copy(again / CHECKPOINT, tmp_path / "last.ckpt")
    said = oaa("predict", f"predict.photos={holiday}", f"predict.checkpoint={tmp_path}/last.ckpt")
    assert said.status == 2
    assert "config.yaml" in said.last


def test_predictions_do_not_depend_on_what_else_lies_in_the_folder(
    again: Path, tiny_voc_once: Path, holiday: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(holiday / "cat.jpg", alone)
    for folder, output in ((holiday, "many"), (alone, "one")):
        oaa(
            "predict", *words(tiny_voc_once), f"predict.photos={folder}", f"predict.output={output}"
        )
    masks = [load_label(again / f"{output}/masks/cat.jpg.png") for output in ("many", "one")]
    np.testing.assert_array_equal(*masks)


def predicted(folder: Path, *more: str, output: str) -> dict[str, np.ndarray]:
    """Masks by name, of a prediction with the checkpoint alone and more words."""
    said = oaa(
        "predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={folder}",
        f"predict.output={output}", *more,
    )  # fmt: skip
    assert said.status == 0, said.err
    made = sorted(Path(output, "masks").rglob("*.png"))
    return {path.relative_to(f"{output}/masks").as_posix(): load_label(path) for path in made}


def by_hand(again: Path, photo: Path, **views: object) -> np.ndarray:
    """The recorded segmenter, looking in another way."""
    cfg = OmegaConf.load((again / CHECKPOINT).with_name("config.yaml"))
    cfg.evaluate.update(views)
    segmenting = Configured(cfg).segmenting  # type: ignore[arg-type]  # a mapping
    return label_photo(segmenting, again / CHECKPOINT, 20)(read_photo(photo))


@pytest.mark.parametrize(("word", "views"), [
    ("evaluate.size=24", {"size": 24}),
    ("evaluate.size=null", {"size": None}),
    ("evaluate.scales=[0.5,2]", {"scales": [0.5, 2]}),
    ("evaluate.flip=true", {"flip": True}),
])  # fmt: skip
def test_how_to_look_is_what_the_command_line_says(
    again: Path, holiday: Path, word: str, views: dict[str, object]
) -> None:
    recorded = predicted(holiday, output="recorded")["cat.jpg.png"]
    changed = predicted(holiday, word, output="changed")["cat.jpg.png"]
    np.testing.assert_array_equal(recorded, by_hand(again, holiday / "cat.jpg"))
    np.testing.assert_array_equal(changed, by_hand(again, holiday / "cat.jpg", **views))


def test_another_size_is_another_prediction(again: Path, holiday: Path) -> None:
    # Or the test above would pass whatever is honoured.
    found = [by_hand(again, holiday / "cat.jpg", size=size) for size in (48, 24, None)]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_crf_is_what_the_command_line_says(again: Path, holiday: Path) -> None:
    recorded = predicted(holiday, output="recorded")["cat.jpg.png"]
    crf = "crf._target_=tests.commands.test_predict.all_cats"
    assert (predicted(holiday, crf, output="refined")["cat.jpg.png"] == 8).all()
    assert not (recorded == 8).all()


def all_cats(photo: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """In the place of a CRF."""
    assert photo.shape[:2] == probabilities.shape[1:]
    return np.eye(21, dtype=np.float32)[8][:, None, None] + 0 * probabilities


def test_a_crf_of_a_large_photo_is_computed_smaller_and_said_so(
    again: Path, holiday: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("oaa_pl.stages.refined._CRF_VALUES", 21 * 25 * 32)
    crf = "crf._target_=tests.commands.test_predict.all_cats"
    with caplog.at_level(logging.INFO):
        mask = predicted(holiday, crf, output="refined")["cat.jpg.png"]
    assert (mask == 8).all()
    assert mask.shape == (50, 64)
    assert "the CRF of 64 x 50 px is computed at 32 x 25 px" in caplog.text


@pytest.mark.parametrize(("word", "fragment"), some_quick([
    ("evaluate.size=0", "evaluate.size must be a whole number of pixels"),
    ("evaluate.size=-320", "evaluate.size must be"),
    ("evaluate.size=big", "evaluate.size must be"),
    ("evaluate.size=32.5", "evaluate.size must be"),
    ("evaluate.scales=0.5", "evaluate.scales must be a list"),
    ("evaluate.scales=[]", "evaluate.scales must be a list"),
    ("evaluate.scales=[1,0]", "evaluate.scales must be a list"),
    ("evaluate.scales=[a]", "evaluate.scales must be a list"),
    ("evaluate.scales=[inf]", "evaluate.scales must be a list"),
    ("evaluate.flip=perhaps", "evaluate.flip must be true or false"),
    ("evaluate.keep_shape=3", "evaluate.keep_shape must be true or false"),
    ("predict.tile=0", "tile must be a whole number of pixels"),
    ("predict.tile=big", "tile must be a whole number of pixels"),
    ("predict.batch_size=0", "batch_size must be a whole number of photos"),
    ("predict.rle=perhaps", "predict.rle must be true or false"),
    ("trainer.accelerator=tpu", "trainer.accelerator must be one of cpu, gpu"),
    ("trainer.devices=2", "trainer.devices=2: photos are segmented on one device"),
    ("trainer.devices=[0,1]", "one device"),
    ("net=vgg16", "net='vgg16' is not what this segmenter was trained with"),
    ("net.segmenter.hidden=99", "net.segmenter.hidden=99 is not what this segmenter was trained"),
    ("data.input_size=96", "say evaluate.size=..."),
    ("allow_targets=[os.path]", "allow_targets must list modules that hold networks"),
    ("allow_targets=['my net']", "allow_targets must list modules"),
    ("allow_targets=timm", "allow_targets must be a list"),
]))  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(
    again: Path, holiday: Path, word: str, fragment: str
) -> None:
    said = oaa("predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}", word)
    require_refusal(said, fragment)
    assert not (again / "predictions").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_no_cpu_put_in_its_place(
    again: Path, holiday: Path
) -> None:
    said = oaa(
        "predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}", "trainer=gpu"
    )
    require_refusal(said, "this machine has no GPU; say trainer=cpu")


def test_a_segmenter_of_a_gpu_is_used_without_one(again: Path, holiday: Path) -> None:
    recorded = (again / CHECKPOINT).with_name("config.yaml")
    cfg = OmegaConf.load(recorded)
    cfg.trainer.accelerator = "gpu"
    OmegaConf.save(cfg, recorded)
    assert predicted(holiday, output="made")


def test_repeating_the_words_of_the_training_is_no_fault(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    # `words` has the network's widths, the input size and much that prediction does not need.
    said = oaa("predict", *words(tiny_voc_once), "net.weights=none", f"predict.photos={holiday}")
    assert said.status == 0, said.err


def test_a_segmenter_s_folder_is_enough_wherever_it_lies(
    again: Path, holiday: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = predicted(holiday, output="before")
    elsewhere = tmp_path / "shelf" / "my model"
    elsewhere.mkdir(parents=True)
    for name in ("last.ckpt", "config.yaml", "stage.json"):
        shutil.copy((again / CHECKPOINT).with_name(name), elsewhere)
    # Where it was trained, and on what, is gone.
    cfg = OmegaConf.load(elsewhere / "config.yaml")
    assert Path(cfg.data.root).is_dir()
    cfg.data.root = "/nowhere"
    OmegaConf.save(cfg, elsewhere / "config.yaml")
    shutil.rmtree(again / "runs")
    alone = tmp_path / "another machine"
    alone.mkdir()
    monkeypatch.chdir(alone)
    said = oaa(
        "predict", f"predict.checkpoint='{elsewhere}/last.ckpt'", f"predict.photos={holiday}"
    )
    assert said.status == 0, said.err
    for name, mask in before.items():
        np.testing.assert_array_equal(load_label(alone / "predictions/masks" / name), mask)


@pytest.mark.parametrize("name", ["config.yaml", "stage.json"])
def test_a_folder_that_lacks_a_part_is_named(again: Path, holiday: Path, name: str) -> None:
    (again / CHECKPOINT).with_name(name).unlink()
    said = oaa("predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}")
    require_refusal(said, name)


def test_links_are_followed_hidden_files_are_not_and_the_rest_is_named(
    again: Path, holiday: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(holiday / "cat.jpg", elsewhere / "far.jpg")
    (holiday / "linked").symlink_to(elsewhere)
    (holiday / "alias.jpg").symlink_to(elsewhere / "far.jpg")
    (holiday / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (holiday / "beach/round").symlink_to(holiday)
    (holiday / ".hidden").mkdir()
    shutil.copy(holiday / "cat.jpg", holiday / ".hidden/cat.jpg")
    shutil.copy(holiday / "cat.jpg", holiday / "._cat.jpg")
    os.mkfifo(holiday / "pipe.jpg")
    with caplog.at_level(logging.INFO):
        made = predicted(holiday, output="made")
    assert made.keys() == {
        "cat.jpg.png", "alias.jpg.png", "linked/far.jpg.png", "beach/cat.png.png"
    }  # fmt: skip
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    for name in ("gone.jpg", "beach/round", "pipe.jpg", "broken.jpg", "notes.txt"):
        assert sum(name in one for one in warned) == 1, (name, warned)
    assert not any("/.hidden" in one or "._cat" in one for one in warned)


def test_every_folder_that_cannot_be_read_is_named(
    again: Path,
    holiday: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("locked", "beach/locked"):
        (holiday / name).mkdir()
        shutil.copy(holiday / "cat.jpg", holiday / name)
    listed = Path.iterdir

    def refused(folder: Path) -> Iterator[Path]:  # root may read any folder
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    with caplog.at_level(logging.INFO):
        assert len(predicted(holiday, output="made")) == 2
    warned = [r.getMessage() for r in caplog.records if "Permission denied" in r.getMessage()]
    assert len(warned) == 2
    assert all(f"folder {holiday}/" in one for one in warned)


def test_photos_of_one_name_do_not_overwrite_each_other(
    again: Path, holiday: Path, tiny_voc_once: Path
) -> None:
    photos = tiny_voc_once / "JPEGImages"
    (holiday / "a").mkdir()
    for name in ("cat.jpeg", "cat.JPG", "a/cat.jpg", "cat"):
        shutil.copy(photos / "2007_000001.jpg", holiday / name)
    made = predicted(holiday, output="made")
    assert len(made) == 6
    assert made["cat.jpg.png"].shape == (50, 64)
    assert made["cat.JPG.png"].shape == made["cat.png"].shape == (48, 64)


MINE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.cells = nn.Conv2d(3, num_classes, 4, 4)

    def forward(self, image):
        return self.cells(image)
"""


@pytest.fixture
def own_net(again: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A segmenter's folder with a network of a module that is not ours."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/mynet.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    folder = (again / CHECKPOINT).parent
    cfg = OmegaConf.load(folder / "config.yaml")
    cfg.net.segmenter = {"_target_": "mynet.Net", "_partial_": True}
    OmegaConf.save(cfg, folder / "config.yaml")
    net = importlib.import_module("mynet").Net(21)
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state}, folder / "last.ckpt")
    return folder


def test_a_network_of_ones_own_is_named_and_used_once_it_is_allowed(
    own_net: Path, holiday: Path
) -> None:
    words = ("predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}")
    require_refusal(oaa(*words), "'mynet.Net'", "not a part of ours", "allow_targets=[mynet]")
    require_refusal(oaa(*words, "allow_targets=[yournet]"), "allow_targets=[mynet]")
    said = oaa(*words, "allow_targets=[mynet]")
    assert said.status == 0, said.err


def test_a_module_that_cannot_be_imported_is_named_with_what_to_do(
    own_net: Path, holiday: Path, tmp_path: Path
) -> None:
    (tmp_path / "modules/mynet.py").unlink()
    sys.modules.pop("mynet")
    importlib.invalidate_caches()
    said = oaa(
        "predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}",
        "allow_targets=[mynet]",
    )  # fmt: skip
    require_refusal(said, "'mynet.Net', which cannot be imported", "PYTHONPATH")


def test_what_is_not_allowed_is_not_even_imported(own_net: Path, holiday: Path) -> None:
    sys.modules.pop("mynet")
    oaa("predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}")
    assert "mynet" not in sys.modules


@pytest.mark.parametrize("target", [
    "mynet.nn.modules.module.torch.os.system", "os.system", "builtins.eval", "mynet",
])  # fmt: skip
def test_an_allowed_module_leads_to_its_own_parts_only(
    own_net: Path, holiday: Path, target: str
) -> None:
    cfg = OmegaConf.load(own_net / "config.yaml")
    cfg.net.segmenter = {"_target_": target, "_partial_": True}
    OmegaConf.save(cfg, own_net / "config.yaml")
    said = oaa(
        "predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}",
        "allow_targets=[mynet]",
    )  # fmt: skip
    require_refusal(said, "not a part of ours")
    assert "allow_targets=[os]" not in said.err


def test_a_recorded_crf_of_a_stranger_is_not_called(again: Path, holiday: Path) -> None:
    recorded = (again / CHECKPOINT).with_name("config.yaml")
    cfg = OmegaConf.load(recorded)
    cfg.crf = {"_target_": "os.mkdir", "path": "owned"}
    OmegaConf.save(cfg, recorded)
    said = oaa("predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}")
    require_refusal(said, "'os.mkdir', which is not a part of ours")
    assert not Path("owned").exists()
