"""The shipped configurations: each composes, builds, and keeps its promise about views."""

from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tests.data.ramps import misplacement, ramps

from oaa_pl.data.folder import FolderSource
from oaa_pl.data.source import Source
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.data.voc import VocSource

CONF = Path(__file__).parents[2] / "conf" / "data"
GROUPS = sorted(path.stem for path in CONF.glob("*.yaml"))
LISTS = ("train_transform", "eval_transform", "segmenter_train_transform")


def load(group: str, **values: object) -> DictConfig:
    root = OmegaConf.create({"data": OmegaConf.load(CONF / f"{group}.yaml")})
    for key, value in values.items():
        OmegaConf.update(root, f"data.{key}", value)
    return root.data


def test_there_is_one_for_each_kind_of_data() -> None:
    assert GROUPS == ["coco", "folder", "imagenet", "synthetic", "voc12"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [(97, 131), (375, 281), (30, 44)])
def test_shipped_augmentations_place_every_pixel_right(
    group: str, name: str, size: tuple[int, int]
) -> None:
    transform = ViewTransform(instantiate(load(group)[name]), (0, 0, 0), (1, 1, 1))
    for seed in range(2):
        image, view, _ = transform.augment(ramps(size), (seed,))
        assert misplacement(ramps(size), image, view).max() < 0.5


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", LISTS)
def test_shipped_augmentations_end_at_one_size(group: str, name: str) -> None:
    data = load(group)
    transform = ViewTransform(instantiate(data[name]), (0, 0, 0), (1, 1, 1))
    side = data.crop_size if name.startswith("segmenter") else data.input_size
    for size in ((97, 131), (375, 281), (30, 44)):
        assert transform.augment(ramps(size), (0,))[0].shape == (side, side, 3)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_answers_the_same_questions(group: str) -> None:
    keys = {"name", "root", "train_split", "val_split", "saliency", "input_size", "crop_size"}
    assert keys | {"train", "val", *LISTS} <= set(load(group))


def test_voc12_builds_its_sources(tiny_voc: Path) -> None:
    data = load("voc12", root=str(tiny_voc), train_split="train", val_split="val", fraction=0.5)
    train, val = instantiate(data.train), instantiate(data.val)
    assert isinstance(train, VocSource)
    assert isinstance(train, Source)
    assert (len(train.ids), len(val.ids)) == (2, 2)


def test_folder_builds_its_sources(tiny_voc: Path) -> None:
    tags = tiny_voc / "tags.csv"
    tags.write_text("image,tags\n2007_000001.jpg,cat\n")
    data = load("folder", root=str(tiny_voc / "JPEGImages"), tag_file=str(tags))
    train, val = instantiate(data.train), instantiate(data.val)
    assert isinstance(train, FolderSource)
    assert isinstance(train, Source)
    assert val is None
