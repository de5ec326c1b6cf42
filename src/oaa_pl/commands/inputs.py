"""Digests of the files that a stage is made from, for its record: content counts, not the path.

A finished stage no longer needs its inputs, so what is not there has no digest.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig

__all__ = ["cue_files", "weight_files"]


def weight_files(cfg: DictConfig) -> dict[str, str]:
    """The pretrained weights, if they are a file that can be read."""
    digest = _digest(Path(str(cfg.net.weights)).expanduser())
    return {"weights": digest} if digest else {}


def cue_files(cfg: DictConfig, ids: Iterable[str]) -> dict[str, str]:
    """What the background cue reads: a folder of saliency maps, or a salient-object network.

    Args:
        cfg: the configuration.
        ids: of the photos whose saliency counts.

    Returns:
        A digest of the network, or of all maps; none if a map lacks that no fallback makes up for.
    """
    found = {}
    model, folder = cfg.background.get("model"), cfg.background.get("folder")
    if model is not None and (digest := _digest(Path(model).expanduser())):
        found["saliency model"] = digest
    if folder is not None and (maps := Path(folder).expanduser()).is_dir():
        sums = {name: _digest(maps / f"{name}.png") for name in sorted(ids)}
        if cfg.background.get("fallback") is not None or None not in sums.values():
            found["saliency maps"] = hashlib.sha256(repr(sums).encode()).hexdigest()
    return found


def _digest(path: Path) -> str | None:
    """Of a file's content; None if there is none to be read, which its user will say better."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
