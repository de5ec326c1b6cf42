"""The scores of a run, taken again by other people's scorers: torchmetrics and the field's rule.

That rule is that of the evaluation scripts that WSSS code shares (AffinityNet, IRNet, SEAM and what
is built on them): a channel of 0.3 for the background in front of the maps, arg-max, one confusion
matrix over all photos, mean of hits / union.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.tiny import METHODS
from tests.conftest import shared
from torchmetrics.classification import MulticlassJaccardIndex

from oaa_pl.data.voc import VocSource
from oaa_pl.report.results import read_results
from oaa_pl.store.reader import StoreReader

Pictures = Iterator[tuple[np.ndarray, np.ndarray]]  # truth and prediction, both (H, W)

IDS = 21
IGNORED = 255
BACKGROUND = 0.3


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def of_labels(voc: Path, folder: Path) -> Pictures:
    for path in sorted(folder.glob("*.png")):
        yield read(voc / "SegmentationClass" / path.name), read(path)


def of_maps(voc: Path, folder: Path) -> Pictures:
    """Maps cut by the field's rule."""
    names = (voc / "ImageSets/Segmentation/train.txt").read_text().split()
    store = StoreReader(folder)
    for index, name in enumerate(names):
        truth = read(voc / "SegmentationClass" / f"{name}.png")
        categories, attention = store.maps(index)
        maps = [cv2.resize(one, truth.shape[::-1]) for one in attention]
        channels = np.stack([np.full(truth.shape, BACKGROUND, np.float32), *maps])
        yield truth, np.array([0, *(categories + 1)])[channels.argmax(axis=0)]


def by_torchmetrics(pictures: Pictures) -> float:
    metric, seen = MulticlassJaccardIndex(IDS, average=None, ignore_index=IGNORED), set()
    for truth, prediction in pictures:
        # It knows no prediction that leaves a pixel open, such as a proxy label's.
        known = (truth != IGNORED) & (prediction != IGNORED)
        seen |= {*np.unique(truth[known])} | {*np.unique(prediction[known])}
        both = (torch.from_numpy(np.where(known, one, IGNORED)) for one in (prediction, truth))
        predicted, true = (one.long() for one in both)
        metric.update(predicted.where(predicted != IGNORED, 0), true)
    # It gives 0 to a class in neither truth nor prediction, which the field leaves out.
    return 100 * float(metric.compute()[sorted(map(int, seen))].double().mean())


def by_the_field(pictures: Pictures) -> float:
    confusion = np.zeros((IDS, IDS), np.int64)
    for truth, prediction in pictures:
        known = (truth < IDS) & (prediction < IDS)
        pairs = IDS * truth[known].astype(int) + prediction[known]
        confusion += np.bincount(pairs, minlength=IDS**2).reshape(IDS, IDS)
    hits = np.diag(confusion)
    with np.errstate(invalid="ignore"):
        iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    return 100 * float(np.nanmean(iou))


@pytest.mark.parametrize("scorer", [by_torchmetrics, by_the_field])
@pytest.mark.parametrize("method", METHODS)
def test_every_score_is_what_another_scorer_finds(
    finished: Path, tiny_voc_once: Path, method: str, scorer: Callable[[Pictures], float]
) -> None:
    root = finished / "runs/tiny/seed-0"
    ours = {
        row.metric: row.value
        for row in read_results(finished / "runs/tiny/results.csv")
        if row.method == method
    }
    pictures = {
        "attention/miou": of_maps(tiny_voc_once, root / "attention" / method / "store"),
        "proxy/miou": of_labels(tiny_voc_once, root / "labels" / method / "proxy"),
        "proxy/miou_hard": of_labels(tiny_voc_once, root / "labels" / method / "hard"),
        "segmentation/miou": of_labels(tiny_voc_once, root / "segmenter" / method / "predictions"),
    }
    for metric, found in pictures.items():
        # The table has four decimals of per cent.
        assert ours[metric] == pytest.approx(scorer(found), abs=1e-4), metric


@pytest.mark.slow
def test_tags_from_masks_are_those_of_the_authors_list(voc2012_320: Path) -> None:
    lines = shared("outside/oaa_train_cls.txt").read_text().splitlines()
    theirs = {words[0]: {*map(int, words[1:])} for words in map(str.split, lines)}
    source = VocSource(voc2012_320, "train")
    ours = {
        name: {*map(int, np.flatnonzero(row))}
        for name, row in zip(source.ids, source.labels, strict=True)
    }
    assert len(ours) == 3459
    assert [name for name, tags in ours.items() if tags != theirs[name]] == []
