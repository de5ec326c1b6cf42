"""Where the stages of a run are.

    <runs>/<name>/[<variant>/]seed-<s>/classifier/
                                       integral/<loss>/
                                       attention/<method>/store/
                                       labels/<method>/{proxy,hard}/
                                       features/<pixels>/
                                       segmenter/<method>[-<network>][-<share>][-crf]/

What each of them keeps beside what it makes: `runs.record`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oaa_pl.errors import ConfigError

__all__ = ["Run"]


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
        root = home / variant.replace("/", "-") / f"seed-{seed}"
        return cls(root, experiment, home, segmenters, "-crf" * crf, seed)

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
