"""Tiny archives in the published structure, and torchvision told that they are those."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_array
from tests.conftest import TINY, draw, save_mask
from torchvision.datasets import SBDataset
from torchvision.datasets.voc import DATASET_YEAR_DICT

from oaa_pl.data import train_aug, voc_folder

VOC_FILE, SBD_FILE = "VOCtrainval_11-May-2012.tar", "benchmark.tgz"
# Two photos of VOC's train, two of its val, two that only SBD has masks of. SBD's lists also name
# a photo of VOC's val, which must not be trained on.
IDS = tuple(TINY)
TRAIN, VAL, ONLY_SBD = IDS[:2], IDS[2:4], IDS[4:]
SBD_TRAIN, SBD_VAL = (IDS[0], IDS[2], IDS[4]), (IDS[5],)


def save_voc(root: Path) -> Path:
    """VOC 2012 as its archive unpacks: photos of all, masks of train and val only."""
    voc = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    for number, (name, (size, ids)) in enumerate(TINY.items()):
        photo, mask = draw(size, ids, number)
        Image.fromarray(photo).save(voc / "JPEGImages" / f"{name}.jpg", quality=95)
        if name not in ONLY_SBD:
            save_mask(voc / "SegmentationClass" / f"{name}.png", mask)
    for split, names in {"train": TRAIN, "val": VAL, "trainval": TRAIN + VAL}.items():
        lines = "".join(f"{name}\n" for name in names)
        (voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(lines)
    return voc


def save_sbd(root: Path) -> Path:
    """SBD as its archive unpacks."""
    sbd = root / "benchmark_RELEASE" / "dataset"
    for folder in ("cls", "img", "inst"):
        (sbd / folder).mkdir(parents=True)
    for name in SBD_TRAIN + SBD_VAL:
        save_mat(sbd / "cls" / f"{name}.mat", sbd_truth(name))
        (sbd / "img" / f"{name}.jpg").write_bytes(b"a photo that VOC has as well")
    (sbd / "train.txt").write_text("".join(f"{name}\n" for name in SBD_TRAIN))
    (sbd / "val.txt").write_text("".join(f"{name}\n" for name in SBD_VAL))
    return sbd


def sbd_truth(name: str) -> np.ndarray:
    """What SBD says of a photo: as VOC would, but nothing ignored."""
    size, ids = TINY[name]
    mask = draw(size, ids, 0)[1]
    return np.where(mask == 255, 0, mask).astype(np.uint8)


def save_mat(path: Path, mask: np.ndarray) -> None:
    """The struct of SBD's files: 1 x 1, with fields of which one is the segmentation."""
    boundaries = np.empty((20, 1), dtype=object)
    boundaries[:, 0] = [csc_array(np.eye(3, dtype=bool))] * 20
    present = np.unique(mask[mask > 0])[:, None]
    struct = {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": present}
    savemat(path, {"GTcls": struct}, do_compression=True)


def pack(folder: Path, path: Path) -> str:
    """Pack the content of a folder; the archive's md5."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz" if path.suffix == ".tgz" else "w") as tar:
        for child in sorted(folder.iterdir()):
            tar.add(child, child.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    return hashlib.md5(content.getvalue(), usedforsecurity=False).hexdigest()


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make both archives in a folder, and have torchvision and the counts know them for right."""
    for file, save in ((VOC_FILE, save_voc), (SBD_FILE, save_sbd)):
        inside = folder / f"inside {file}"
        save(inside)
        md5 = pack(inside, folder / "published" / file)
        if file == SBD_FILE:
            monkeypatch.setattr(SBDataset, "md5", md5)
        else:
            monkeypatch.setitem(DATASET_YEAR_DICT["2012"], "md5", md5)
    counts = {"PHOTOS": 6, "TRAIN": 2, "VAL": 2, "MASKS": 4}
    for name, count in counts.items():
        monkeypatch.setattr(voc_folder, name, count)
    for module in (train_aug, data_command()):
        monkeypatch.setattr(module, "IMAGES", 4)
    return folder / "published"


def data_command() -> object:
    from oaa_pl.commands import data

    return data
