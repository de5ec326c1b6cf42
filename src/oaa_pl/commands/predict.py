"""`oaa predict`: masks and overlays for a folder of new photos."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image

from oaa_pl.callbacks.progress import bar
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.methods import chosen_method
from oaa_pl.config.recipe import plain
from oaa_pl.config.segmenter import named_keys
from oaa_pl.data.images import read_photo
from oaa_pl.errors import BadImageError, ConfigError, MissingImageError, MissingInputError
from oaa_pl.files.home import expanded_path
from oaa_pl.prediction.predictor import Predictor
from oaa_pl.prediction.recorded import recorded_segmenter
from oaa_pl.prediction.views import looked_at
from oaa_pl.proxy.palette import save_label
from oaa_pl.proxy.png import save_png
from oaa_pl.report.pictures import label_overlay
from oaa_pl.runs.record import write_text
from oaa_pl.runs.recorded import require_known
from oaa_pl.stages.configured import run_of

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Segment every photo of a folder; a file that is not a photo is named and left out.

    Writes `<output>/masks/<name>.png` (palette, ids 0..C), `<output>/overlays/<name>.png` and
    `<output>/classes.txt`. The segmenter's folder is enough, wherever it is: it records the
    network, its classes and how it looks at photos. What the command line names about the last
    (`evaluate.*`, `crf`, `trainer`) is taken in place of what is recorded.

    Raises:
        ConfigError: if no folder of photos is given, the checkpoint is not a segmenter's, or the
            command line names what cannot be changed.
        MissingInputError: if the folder or the checkpoint does not exist.
        BadImageError: if not one file could be read.
    """
    if cfg.predict.photos is None:
        raise ConfigError("predict.photos is not set; say predict.photos=<folder of photos>")
    photos = expanded_path(cfg.predict.photos)
    output = expanded_path(cfg.predict.output)
    if not photos.is_dir():
        raise MissingInputError(f"predict.photos: {photos} is not a folder")
    default = run_of(cfg).segmenter(chosen_method(cfg).name) / LAST
    checkpoint = expanded_path(cfg.predict.checkpoint or default)
    predictor = _predictor(cfg, checkpoint)
    files = list(_files(photos, output.resolve()))
    read = 0
    with bar(len(files), "predict") as progress:
        for path in files:
            try:
                photo = read_photo(path)
            except (BadImageError, MissingImageError) as error:
                log.warning("skipped: %s", error)
            else:
                # The suffix stays part of the name: a.jpg and a.png are two photos.
                _save(output, path.relative_to(photos).as_posix() + ".png", photo, predictor(photo))
                read += 1
            progress.update(1)
    if not read:
        raise BadImageError(f"{photos}: none of its {len(files)} files could be read as a photo")
    names = ("background", *predictor.classes)
    write_text(output / "classes.txt", "".join(f"{n} {name}\n" for n, name in enumerate(names)))
    log.info("%s: masks and overlays of %d of %d files", output, read, len(files))


def _files(photos: Path, output: Path) -> Iterator[Path]:
    """Every file below a folder, links followed, sorted; hidden ones and `output` left out.

    A folder that cannot be read, or that a link leads round to, is named.
    """

    def walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
        real = folder.resolve()
        if real == output:  # the output of an earlier call, among the photos
            return
        if real in above:
            log.warning("skipped: %s is a link back to %s, which is read already", folder, real)
            return
        try:
            found = sorted(folder.iterdir())
        except OSError as error:
            log.warning("skipped: folder %s cannot be read (%s)", folder, error.strerror)
            return
        for path in found:
            if path.name.startswith("."):
                continue
            if path.is_dir():
                yield from walk(path, (*above, real))
            elif path.is_file() or path.is_symlink():  # a broken link is named when it is opened
                yield path
            else:
                log.warning("skipped: %s is neither a file nor a folder", path)

    return walk(photos, ())


def _save(output: Path, name: str, photo: NDArray[np.uint8], label: NDArray[np.uint8]) -> None:
    save_label(output / "masks" / name, label)
    save_png(output / "overlays" / name, Image.fromarray(label_overlay(photo, label)))


def _predictor(cfg: DictConfig, checkpoint: Path) -> Predictor:
    """A segmenter as its folder records it, changed by what the command line names.

    Args:
        cfg: this command's.
        checkpoint: the segmenter's.
    """
    if not checkpoint.is_file():
        raise MissingInputError(
            f"{checkpoint} does not exist; first run 'oaa fit stage=segmenter', or say "
            "predict.checkpoint=<file>"
        )
    allow, keys = plain(cfg.allow_targets), named_keys()
    if not isinstance(allow, list):
        raise ConfigError(f"allow_targets must be a list such as [mynet,timm], got {allow!r}")
    recorded, classes = recorded_segmenter(checkpoint, allow)
    found = looked_at(recorded, cfg, keys)
    if not any(key == "crf" or key.startswith("crf.") for key in keys):
        require_known(found.crf, checkpoint.parent / "config.yaml", allow)
    return Predictor.of(found, checkpoint, classes)
