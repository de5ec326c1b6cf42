"""The features of a run's frozen classifier for every training photo, computed once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from oaa_pl.callbacks.progress import bar
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.recipe import Recipe
from oaa_pl.data.features import Features, open_features, write_features
from oaa_pl.data.source import fingerprint
from oaa_pl.runs.inputs import digest_of
from oaa_pl.runs.record import StageRecord, read_done, read_key
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.stages.parts import Network
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained import load_into, ready
from oaa_pl.training.precision import as_trained

__all__ = ["FILE", "FeatureStage"]

FILE = "features.npy"


@dataclass(kw_only=True, eq=False)
class FeatureStage(Stage):
    """Compute the features that segmenters with a frozen trunk learn from.

    Attributes:
        net: a network with a `FrozenTrunk`.
        model: the classifier whose trunk it is.
        transform: a list of augmentations without chance: how the trunk sees a photo.
        size: pixels of the side of the square that a photo is brought to; names the folder.
    """

    noun: ClassVar[str] = "features"

    net: Network
    model: ClassifierStage
    transform: Recipe
    size: int

    def __post_init__(self) -> None:
        self.title, self.needs = "features of the frozen trunk", (self.model,)
        self.maker = "oaa fit stage=segmenter segmenter=frozen_head"
        self.folder = self.run_folders.features(self.size)

    @override
    def key(self) -> dict[str, Any]:
        net = self.net.recipe.without_weights().key
        return {
            "classifier": read_key(self.model.folder),
            "data": fingerprint(self.data.train),
            "features": {"trunk": net["trunk"], "layers": net["layers"], "size": self.size},
            "transform": self.transform.key,
        }

    @override
    def files(self) -> dict[str, str]:
        digest = digest_of(self.model.folder / LAST)
        return super().files() | ({"classifier": digest} if digest else {})

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        """Compute them; a killed process's are computed again from the first photo."""
        del alone
        images, trunk = len(self.data.train.ids), self.frozen_trunk()
        record.begin(self.config.text())
        with bar(images, self.title) as progress:

            def counted() -> Iterator[NDArray[np.float32]]:
                for part in self._computed(trunk):
                    yield part
                    progress.update(len(part))

            checksum = write_features(self.folder / FILE, counted(), images)
        return {"images": images, "checksum": checksum}

    def open(self) -> Features:
        """The features of all training photos, (N, F, h, w), mapped into memory.

        Raises:
            MissingInputError: if the stage is not finished.
            StoreError: if the file is damaged.
        """
        facts = read_done(self.folder, self.maker)
        return open_features(self.folder / FILE, len(self.data.train.ids), facts["checksum"])

    @torch.no_grad()
    def _computed(self, trunk: nn.Module) -> Iterator[NDArray[np.float32]]:
        trainer = as_trained(self.model.trainer, self.model.folder, self.net.full_on_cpu)
        trunk = ready(trunk, self.net, trainer)
        device = next(trunk.parameters()).device
        data = self.data.loaders(self.net, self.data.train, eval_transform=self.transform)
        for batch in data.predict_dataloader():
            yield trunk(batch["image"].to(device)).float().cpu().numpy()

    def frozen_trunk(self) -> nn.Module:
        """The trunk as the classifier left it.

        Raises:
            WeightsError: if the classifier's checkpoint is missing, or of another network.
        """
        net = self.net.unweighted.make(len(self.data.train.classes))
        load_into(net.get_submodule("trunk.trunk"), self.model.folder / LAST, "net.trunk.")
        return net.get_submodule("trunk")
