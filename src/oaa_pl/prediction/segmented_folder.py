"""Segment every photo of a folder: what `oaa predict` does, in bounded memory, and resumable."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oaa_pl.callbacks.progress import bar
from oaa_pl.data.images import read_photo
from oaa_pl.errors import BadImageError, ConfigError, MissingImageError, MissingInputError
from oaa_pl.prediction.coco import write_coco
from oaa_pl.prediction.files import CONFIDENCE, MASK, OVERLAY, entry_of, save
from oaa_pl.prediction.manifest import Manifest
from oaa_pl.prediction.photo_folder import files_below
from oaa_pl.prediction.predictor import Predictor
from oaa_pl.runs.inputs import digest_of
from oaa_pl.runs.stage_folder import write_text

__all__ = ["Wanted", "segment_folder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks.

    Attributes:
        overlays: pictures of the masks over their photos.
        confidence: gray pictures of the confidence.
        rle: all masks as one COCO JSON.

    Raises:
        ConfigError: if a value is neither true nor false.
    """

    overlays: bool = True
    confidence: bool = False
    rle: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool):
                raise ConfigError(f"predict.{name} must be true or false, got {value!r}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of files that each photo gets."""
        return (MASK, *[OVERLAY] * self.overlays, *[CONFIDENCE] * self.confidence)


@dataclass(frozen=True)
class _Waiting:
    """A photo whose files are not complete."""

    name: str
    digest: str | None
    photo: NDArray[np.uint8]


def segment_folder(
    predictor: Predictor,
    photos: Path,
    output: Path,
    settings: Mapping[str, Any],
    wanted: Wanted | None = None,
) -> None:
    """Segment the photos of a folder whose files are not complete yet.

    Writes `masks/<name>.png` (palette, ids 0..C), what else is wanted, `classes.txt`, and a line
    of `manifest.jsonl` for each photo. A file that is not a photo is named and skipped.

    Args:
        predictor: the segmenter.
        photos: the folder.
        output: the folder of the predictions.
        settings: plain values that determine a mask; compared when the folder is met again.
        wanted: what is written beside the masks; None: overlays.

    Raises:
        MissingInputError: if the folder of photos does not exist.
        ConfigError: if the output is the folder of the photos.
        BadImageError: if not one file could be read.
        RunMismatchError: if the output has predictions made with other settings.
        StoreError: if another process writes the output.
        OutputError: if a file cannot be written.
        WeightsError: if the network's answer is not a number.
    """
    if not photos.is_dir():
        raise MissingInputError(f"predict.photos: {photos} is not a folder")
    if photos.resolve() == output.resolve():
        raise ConfigError(
            f"predict.output is the folder of the photos, {photos}: give another, or a folder in it"
        )
    wanted = wanted or Wanted()
    manifest = Manifest(output, settings, predictor.classes)
    files = list(files_below(photos, output.resolve()))
    before = made = 0
    try:
        with bar(len(files), "predict") as progress:

            def skipped(complete: bool) -> None:
                nonlocal before
                before += complete
                progress.update(1)

            waiting = _waiting(files, photos, manifest, wanted.kinds, skipped)
            while batch := list(islice(waiting, predictor.batch_size)):
                manifest.begin()
                for one, found in zip(
                    batch, predictor.each([one.photo for one in batch]), strict=True
                ):
                    paths = save(output, one.name, one.photo, found, wanted.kinds)
                    manifest.add(entry_of(one.name, one.digest, found, predictor.classes, paths))
                    made += 1
                    progress.update(1)
        if not before + made:
            raise BadImageError(
                f"{photos}: none of its {len(files)} files could be read as a photo"
            )
        manifest.begin()
        _write_lists(output, manifest, predictor.classes, wanted)
    finally:
        manifest.close()
    log.info(
        "%s: %s of %d of %d files (%d before)", output,
        "masks and overlays" if wanted.overlays else "masks", before + made, len(files), before,
    )  # fmt: skip


def _waiting(
    files: Sequence[Path],
    photos: Path,
    manifest: Manifest,
    kinds: Sequence[str],
    skipped: Callable[[bool], None],
) -> Iterator[_Waiting]:
    """The photos whose files are not complete, read one at a time.

    `skipped` is called for each other file, with whether its files are complete.
    """
    for path in files:
        name, digest = path.relative_to(photos).as_posix(), digest_of(path)
        if manifest.has(name, digest, kinds):
            skipped(True)
            continue
        try:
            photo = read_photo(path)
        except (BadImageError, MissingImageError) as error:
            log.warning("skipped: %s", error)
            skipped(False)
        else:
            yield _Waiting(name, digest, photo)


def _write_lists(output: Path, manifest: Manifest, classes: Sequence[str], wanted: Wanted) -> None:
    names = ("background", *classes)
    write_text(output / "classes.txt", "".join(f"{n} {name}\n" for n, name in enumerate(names)))
    if wanted.rle:
        write_coco(output, [manifest.entries[name] for name in sorted(manifest.entries)], classes)
