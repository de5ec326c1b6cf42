"""The command line of a run, and the same line with other values."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from oaa_pl.config.compose import in_sweep

__all__ = ["CommandLine"]


@dataclass(frozen=True)
class CommandLine:
    """A run's name, the values that its time depends on, and the words that were typed.

    Attributes:
        name: of the run.
        input_size: of the attention networks, in pixels.
        crop_size: of the segmenter's training, in pixels.
        segmenter_side: long side of its photos in pixels; None: the data set has no such value.
        freeze: number of frozen blocks of the trunk; None: the network has no such value.
        words: KEY=VALUE, as typed.
        announces: whether this process logs the estimated time.
    """

    name: str
    input_size: int
    crop_size: int
    segmenter_side: int | None = None
    freeze: int | None = None
    words: Sequence[str] = ()
    announces: bool = True

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "CommandLine":
        """The command line of this job.

        Args:
            values: the configuration, as plain values.
        """
        data, typed = values["data"], HydraConfig.initialized()
        return cls(
            str(values["name"]), data["input_size"], data["crop_size"], data.get("segmenter_side"),
            values["net"].get("freeze"),
            list(HydraConfig.get().overrides.task) if typed else [],
            values.get("estimate", True) and not _one_of_many(),
        )  # fmt: skip

    def changed(self, changes: Mapping[str, object], name: str) -> str:
        """The line with other values and another name, because this run may have started.

        Args:
            changes: values by key.
            name: added to the run's name.
        """
        new = {**changes, "name": f"{self.name}-{name}"}
        kept = [word for word in self.words if _key(word) not in new]
        words = ["oaa", "reproduce", *kept, *(f"{key}={value}" for key, value in new.items())]
        return " ".join(map(_quoted, words))


def _one_of_many() -> bool:
    """Whether another process logs it: in a later job of a sweep, or one of several ranks."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        return True
    return in_sweep() and int(HydraConfig.get().job.num) > 0


def _quoted(word: str) -> str:
    """A word quoted for the shell. Around Hydra's single quotes, double ones stay readable."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`!\\') else shlex.quote(word)


def _key(word: str) -> str:
    return str(OverridesParser.create().parse_override(word).key_or_group)
