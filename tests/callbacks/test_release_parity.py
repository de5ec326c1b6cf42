"""`preset=release_pytorch` accumulates what the authors' PyTorch code does, grey for grey.

The plain re-implementation below was written from a description of that code's behaviour: image
by image in the order of the list, from the second epoch on, a tag's map is kept where the tag is
among the K best scores (K = number of tags): ReLU, divided by its maximum, as 8-bit grey. A later
map joins it by maximum. In the last epoch a tag that still has no map gets that epoch's.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback
from tests.callbacks.tiny_run import STATISTICS, NoiseSource, pairs
from tests.modules.tiny import TinyNet, quiet_trainer

from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.config.compose import register
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.files.installed import root_of
from oaa_pl.modules.classifier import Classifier
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, Header
from oaa_pl.store.memmap import MemmapStore

EPOCHS, SIDE = 5, 16


def preset(name: str) -> DictConfig:
    register()
    size = [f"classifier.epochs={EPOCHS}", f"data.input_size={SIDE}"]
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        return compose("config", overrides=[f"preset={name}", *size, "experiment=voc12"])


class Watched(AttentionAccumulation):
    """Notes the maps at the end of the training."""

    def on_train_end(self, *arguments: Any) -> None:
        (store,) = self.stores.values()
        self.rows = store.rows.copy()
        self.maps = {
            (index, int(category)): attention
            for index in range(len(pairs().ids))
            for category, attention in zip(*store.maps(index), strict=True)
        }


class Recorder(Callback):
    """What the network said of which images, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        scores = outputs["score_map"].detach().numpy().copy()
        what = batch["index"].numpy().copy(), batch["labels"].numpy().copy()
        self.batches.append((trainer.current_epoch, scores, *what))


def as_the_release_does(recorder: Recorder) -> dict[tuple[int, int], np.ndarray]:
    """Grey maps by (image, class)."""
    kept: dict[tuple[int, int], np.ndarray] = {}
    for epoch, scores, index, labels in recorder.batches:
        if epoch == 0:
            continue
        for score_map, image, tags in zip(scores, index, labels, strict=True):
            best = np.argsort(-score_map.mean(axis=(1, 2)))[: int(tags.sum())]
            for category in np.flatnonzero(tags):
                positive = np.maximum(score_map[category], 0)
                grey = np.rint(positive / (positive.max() + np.float32(1e-8)) * 255)
                pair, grey = (int(image), int(category)), grey.astype(np.uint8)
                last = epoch == EPOCHS - 1 and pair not in kept
                if last or category in best:
                    kept[pair] = np.maximum(kept.get(pair, np.zeros_like(grey)), grey)
    return kept


def test_several_epochs_accumulate_the_same_grey_maps(tmp_path: Path) -> None:
    cases: Counter[str] = Counter()
    for seed in range(4):
        cases.update(compared(tmp_path / str(seed), seed))
    assert min(cases["fallback"], cases["accepted"], cases["empty"]) > 0, cases


def compared(folder: Path, seed: int) -> dict[str, int]:
    """Train, compare every map, and count the cases that came up."""
    cfg = preset("release_pytorch")
    header = Header(
        pairs().classes, pairs().fingerprint, (SIDE // 2, SIDE // 2), "maximum", gate="top_k"
    )
    accumulation = Watched(
        {"most": partial(MemmapStore, folder / "store", header, pairs())},
        gate=instantiate(cfg.gate),
        to_attention=instantiate(cfg.attention),
        first_epoch=cfg.classifier.first_epoch,
        keep_empty=cfg.classifier.keep_empty,
        fill_in_epoch=EPOCHS - 1 if cfg.classifier.fallback == "last_epoch" else None,
    )
    seen = ViewTransform(instantiate(cfg.data.train_transform), *STATISTICS)
    source = NoiseSource()
    data = OaaDataModule(source, None, seen, seen, 2, seed=seed, shuffle=cfg.loader.shuffle)
    recorder = Recorder()
    trainer = quiet_trainer(folder, max_epochs=EPOCHS, callbacks=[recorder, accumulation])
    module = Classifier(
        TinyNet(seed=seed), instantiate(cfg.classifier.optimizer),
        instantiate(cfg.classifier.schedule), 3,
    )  # fmt: skip
    torch.manual_seed(seed)
    trainer.fit(module, data)

    theirs = as_the_release_does(recorder)
    assert [batch[2].tolist() for batch in recorder.batches[:4]] == [[0, 1], [2, 3], [4, 5], [6]]
    assert set(theirs) == set(accumulation.maps)  # every pair has a map in the end
    for pair, attention in accumulation.maps.items():
        assert np.array_equal(np.rint(attention * 255), theirs[pair]), pair
    origin = accumulation.rows["origin"]
    return {
        "fallback": int((origin == ORIGIN_FALLBACK).sum()),
        "accepted": int((origin == ORIGIN_ACCEPTED).sum()),
        "empty": sum(not grey.any() for grey in theirs.values()),
    }
