"""Where the stages of a run are.

    <runs>/<name>/[<variant>/]seed-<s>/classifier/
                                       integral/<loss>/
                                       attention/<method>/store/
                                       labels/<method>/{proxy,hard}/
                                       features/<pixels>/
                                       segmenter/<method>[-<network>][-<share>][-crf]/

What each of them keeps beside what it makes: `runs.record`.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oaa_pl.errors import ConfigError
from oaa_pl.files.atomic import write_whole

__all__ = ["Run"]

_LONG, _KEPT = 100, 60  # bytes of a variant's name that is shortened, and letters that are kept
_LONGEST = 255  # bytes of a file name


@dataclass(frozen=True)
class Run:
    """Folders of one seed's run.

    Attributes:
        root: `<runs>/<name>/[<variant>/]seed-<s>`.
        experiment: name in the results: the experiment's, with its variant in a sweep.
        home: `<runs>/<name>`, where the results of all seeds and variants meet.
        segmenters: the suffix of this configuration's segmenters, if they train another
            network, or on other images, with the same labels: "-resnet101", "-20pc"; else empty.
        refined: what tells segmentations behind a CRF from the network's own: "-crf"; else empty.
        seed: of the run.
    """

    root: Path
    experiment: str
    home: Path
    segmenters: str = ""
    refined: str = ""
    seed: int = 0

    @classmethod
    def named(
        cls,
        runs: Path,
        name: str,
        seed: Any,
        *,
        variant: str = "",
        net: str | None = None,
        share: float = 1,
        crf: bool = False,
    ) -> "Run":
        """The run of that name.

        Args:
            runs: folder of all runs.
            name: the experiment's.
            seed: a whole number from 0 to 2^32 - 1.
            variant: what a sweep varies in this job, the seed apart.
            net: the segmenter's network, where it is another than the classifier's.
            share: of the labelled images, that the segmenter trains on, in (0, 1].
            crf: whether segmentations are refined by a CRF.

        Raises:
            ConfigError: if the seed is not a number that every generator takes.
        """
        if type(seed) is not int or not 0 <= seed < 2**32:  # `true` is an int as well
            raise ConfigError(f"seed must be a whole number from 0 to 2^32 - 1, got {seed!r}")
        home = runs / str(name)
        experiment = f"{name}[{variant}]" if variant else name
        segmenters = f"-{net}" * (net is not None) + f"-{100 * share:g}pc" * (share != 1)
        root = home / _folder_of(variant, home) / f"seed-{seed}"
        return cls(root, experiment, home, segmenters, "-crf" * crf, seed)

    @property
    def label(self) -> str:
        """A short name for dashboards, another for each seed and variant."""
        return f"{_short(self.experiment)} seed {self.seed}"

    def record_variant(self, variant: str) -> None:
        """Write what a sweep varies beside a folder whose name is too short for it.

        Args:
            variant: the whole of it, as `named` was given it.

        Raises:
            OutputError: if it cannot be written.
        """
        folder = self.root.parent
        if variant and folder.name != variant.replace("/", "-"):
            write_whole(folder / "variant.txt", f"{variant}\n".encode())

    @property
    def classifier(self) -> Path:
        """Folder of the classifier."""
        return self.root / "classifier"

    def integral(self, loss: str) -> Path:
        """Folder of the integral model trained with that loss."""
        return self.root / "integral" / loss

    def attention(self, method: str) -> Path:
        """Folder of a method's attention maps."""
        return self.root / "attention" / method

    def labels(self, method: str) -> Path:
        """Folder of the proxy labels made from a method's maps."""
        return self.root / "labels" / method

    def features(self, size: int) -> Path:
        """Folder of the frozen classifier's features of the training photos at that size."""
        return self.root / "features" / str(size)

    def segmenter(self, method: str) -> Path:
        """Folder of the segmenter trained on a method's proxy labels."""
        return self.root / "segmenter" / f"{method}{self.segmenters}"

    def segmentations(self, method: str) -> Path:
        """Folder of that segmenter's predictions and scores: its own, or one for the CRF's."""
        return self.root / "segmenter" / f"{method}{self.segmenters}{self.refined}"


def _folder_of(variant: str, home: Path) -> str:
    """The name of a variant's folder: a long one is cut, and ends in a digest of the whole.

    Args:
        variant: what a sweep varies; the results and the configuration have all of it.
        home: where the folder is.
    """
    name = variant.replace("/", "-")
    length = len(os.fsencode(name))
    # A sweep of an older package has the whole name, as far as the disk allows it.
    if length <= _LONG or (length <= _LONGEST and (home / name).is_dir()):
        return name
    return _short(name, variant)


def _short(name: str, of: str = "") -> str:
    """A name of at most `_LONG` bytes: a longer one is cut, and ends in a digest of the whole.

    Args:
        name: the name.
        of: the whole, if the name is less.
    """
    if len(os.fsencode(name)) <= _LONG:
        return name
    return f"{name[:_KEPT]}-{hashlib.sha256((of or name).encode()).hexdigest()[:10]}"
