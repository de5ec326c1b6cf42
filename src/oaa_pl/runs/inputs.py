"""Digests of the files that a stage is made from, for its record: the content, not the path.

A finished stage no longer needs its inputs, so a missing file has no digest.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from oaa_pl.files.home import expanded_path
from oaa_pl.proxy.proposal_files import files_of

__all__ = ["cue_files", "digest_of", "proposal_files", "weight_files"]


def weight_files(weights: Any) -> dict[str, str]:
    """The pretrained weights, if they are a file that can be read.

    Args:
        weights: a path, or what else a network's `weights` can be.
    """
    digest = digest_of(expanded_path(str(weights)))
    return {"weights": digest} if digest else {}


def cue_files(background: Mapping[str, Any], ids: Iterable[str]) -> dict[str, str]:
    """What a background cue reads: a folder of saliency maps, or a salient-object network.

    Args:
        background: the cue's recipe as plain values.
        ids: of the photos whose saliency counts.

    Returns:
        A digest of the network, or of all maps, with those of the cue that fills in for missing
        maps; none of maps if one lacks that no cue fills in for.
    """
    found = {}
    model, folder, fallback = (background.get(key) for key in ("model", "folder", "fallback"))
    if model is not None and (digest := digest_of(expanded_path(model))):
        found["saliency model"] = digest
    if folder is not None and (maps := expanded_path(folder)).is_dir():
        sums = {name: digest_of(maps / f"{name}.png") for name in sorted(ids)}
        if fallback is not None or None not in sums.values():
            found["saliency maps"] = hashlib.sha256(repr(sums).encode()).hexdigest()
    if fallback is not None:
        others = cue_files(fallback, ids)
        found |= {f"fallback's {name}": digest for name, digest in others.items()}
    return found


def proposal_files(refine: Mapping[str, Any], ids: Iterable[str]) -> dict[str, str]:
    """What a refinement of labels reads: a folder of mask proposals.

    Args:
        refine: its recipe as plain values.
        ids: of the photos whose proposals count.

    Returns:
        A digest of all of them; nothing if there is no such folder.
    """
    folder = (refine.get("proposals") or {}).get("folder")
    if folder is None or not (place := expanded_path(folder)).is_dir():
        return {}
    sums = {
        str(file.relative_to(place)): digest_of(file)
        for name in sorted(ids)
        for file in files_of(place, name)
    }
    return {"proposals": hashlib.sha256(repr(sums).encode()).hexdigest()} if sums else {}


def digest_of(path: Path) -> str | None:
    """A digest of a file's content; None if it cannot be read: its user raises a better error."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
