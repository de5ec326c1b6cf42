"""`oaa predict`: masks and overlays for a folder of new photos."""

import logging
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.callbacks.progress import bar
from oaa_pl.commands import build
from oaa_pl.commands.folders import Run
from oaa_pl.commands.trained import recorded_config, segment_photo
from oaa_pl.data.images import read_photo
from oaa_pl.errors import BadImageError, ConfigError, MissingInputError
from oaa_pl.labels.palette import save_label
from oaa_pl.labels.png import save_png
from oaa_pl.report.pictures import label_overlay

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Segment every photo of a folder; what is no photo is named and left out.

    Writes `<output>/masks/<name>.png` (palette, ids 0..C), `<output>/overlays/<name>.png` and
    `<output>/classes.txt`.

    Raises:
        ConfigError: if no folder of photos is given, or the checkpoint is no segmenter's.
        MissingInputError: if the folder or the checkpoint does not exist.
        BadImageError: if not one file could be read.
    """
    if cfg.predict.photos is None:
        raise ConfigError("predict.photos is not set; say predict.photos=<folder of photos>")
    photos, output = Path(cfg.predict.photos), Path(cfg.predict.output)
    if not photos.is_dir():
        raise MissingInputError(f"predict.photos: {photos} is not a folder")
    checkpoint = Path(cfg.predict.checkpoint or Run.of(cfg).segmenter(cfg.method) / LAST)
    trained, classes = _trained_with(checkpoint)
    # How to look at a photo is this command's choice; what the network is, the checkpoint's.
    trained.evaluate = OmegaConf.merge(
        trained.evaluate, {"scales": cfg.evaluate.scales, "flip": cfg.evaluate.flip}
    )
    segment = segment_photo(trained, checkpoint, len(classes))
    made = output.resolve()  # if it lies among the photos, it is none of them
    files = sorted(
        path for path in photos.rglob("*") if path.is_file() and made not in path.resolve().parents
    )
    read = 0
    with bar(len(files), "predict") as progress:
        for path in files:
            try:
                photo = read_photo(path)
            except BadImageError as error:
                log.warning("skipped: %s", error)
            else:
                label = segment(photo).argmax(dim=0).to(torch.uint8).numpy()
                # The suffix stays part of the name: a.jpg and a.png are two photos.
                name = path.relative_to(photos).as_posix() + ".png"
                _save(output, name, photo, label)
                read += 1
            progress.update(1)
    if not read:
        raise BadImageError(f"{photos}: none of its {len(files)} files could be read as a photo")
    names = ("background", *classes)
    (output / "classes.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names)))
    log.info("%s: masks and overlays of %d of %d files", output, read, len(files))


def _save(output: Path, name: str, photo: "np.ndarray", label: "np.ndarray") -> None:
    for folder in ("masks", "overlays"):
        (output / folder / name).parent.mkdir(parents=True, exist_ok=True)
    save_label(output / "masks" / name, label)
    save_png(output / "overlays" / name, Image.fromarray(label_overlay(photo, label)))


def _trained_with(checkpoint: Path) -> tuple[DictConfig, tuple[str, ...]]:
    """Configuration and class names that a segmenter's folder records beside its checkpoint."""
    if not checkpoint.is_file():
        raise MissingInputError(
            f"{checkpoint} does not exist; first run 'oaa fit stage=segmenter', or say "
            "predict.checkpoint=<file>"
        )
    cfg = recorded_config(checkpoint, "net.segmenter")
    if "segmenter" not in checkpoint.resolve().parts:
        raise ConfigError(
            f"{checkpoint} is not a segmenter's; give one that 'oaa fit stage=segmenter' made"
        )
    return cfg, build.recorded_classes(checkpoint.parent)
