"""A trained segmenter as its folder records it, which may come from a stranger."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.json_text import parse_json
from oaa_pl.runs.recorded import recorded_classes, recorded_config

__all__ = ["RecordedSegmenter", "recorded_segmenter"]


class RecordedSegmenter(NamedTuple):
    """What a segmenter's folder records.

    Attributes:
        cfg: the configuration that it was trained with.
        classes: names of the foreground classes, C of them.
    """

    cfg: DictConfig
    classes: tuple[str, ...]


def recorded_segmenter(checkpoint: Path, allow: Sequence[str] = ()) -> RecordedSegmenter:
    """Read what a segmenter's folder records: `config.yaml` and `stage.json`.

    Args:
        checkpoint: the segmenter's, in its folder.
        allow: other packages or modules whose networks it may call, such as "timm".

    Raises:
        MissingInputError: if one of the files is missing or damaged.
        ConfigError: if it is another stage's checkpoint, the configuration cannot be read, or it
            asks for something else than our networks and those of `allow`.
    """
    cfg = recorded_config(checkpoint, "net.segmenter", allow=allow)
    if not _is_segmenter(checkpoint.parent):
        raise ConfigError(
            f"{checkpoint} is not a segmenter's; give one that 'oaa fit stage=segmenter' made"
        )
    return RecordedSegmenter(cfg, recorded_classes(checkpoint.parent))


def _is_segmenter(folder: Path) -> bool:
    """Whether a stage's folder says that a segmenter was trained in it, wherever it is now."""
    path = folder / "stage.json"
    try:
        return "segmenter" in parse_json(path.read_text(encoding="utf-8"))["made_from"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(
            f"{path} does not say what was trained ({error!r}); it belongs beside {LAST}"
        ) from error
