"""What this command line says of a run's time, and how it would say it otherwise."""

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
        segmenter_side: long side of its photos in pixels; None: they are not scaled by it.
        freeze: blocks of the trunk that are not trained; None: this network does not say.
        words: KEY=VALUE, as typed.
        announces: whether this process tells the time.
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
        """The line with other values, and a name of its own: this run may have begun.

        Args:
            changes: values by key.
            name: added to the run's.
        """
        new = {**changes, "name": f"{self.name}-{name}"}
        kept = [word for word in self.words if _key(word) not in new]
        words = ["oaa", "reproduce", *kept, *(f"{key}={value}" for key, value in new.items())]
        return " ".join(map(_quoted, words))


def _one_of_many() -> bool:
    """Whether another process says it: a later job of a sweep, a rank that something started."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        return True
    return in_sweep() and int(HydraConfig.get().job.num) > 0


def _quoted(word: str) -> str:
    """A word for the shell; Hydra's own single quotes are kept readable by double ones."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`!\\') else shlex.quote(word)


def _key(word: str) -> str:
    return str(OverridesParser.create().parse_override(word).key_or_group)
