"""`oaa saliency`: saliency maps of photos by a salient-object network, for background=folder."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from oaa_pl.callbacks.progress import bar
from oaa_pl.data.images import read_photo
from oaa_pl.data.photo_files import image_id
from oaa_pl.errors import BadImageError, ConfigError, MissingInputError
from oaa_pl.files.home import expanded_path
from oaa_pl.parallel.fan_out import FanOut, require_visible
from oaa_pl.proxy.saliency_maker import SaliencyMaker
from oaa_pl.proxy.saliency_model import SaliencyModel
from oaa_pl.stages.configured import Configured

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Write the missing saliency maps of photos. Files that are not photos are named and skipped.

    Writes `<saliency.output>/<id>.png`, 8-bit gray at the photo's size.

    Raises:
        ConfigError: if the model or the output is not set, two photos have one id, or the output
            is the folder of the photos.
        MissingInputError: if the folder of photos does not exist, or is empty.
        WeightsError: if the model cannot be read or makes no saliency.
        BadImageError: if not one file could be read.
        OutputError: if a map cannot be written.
    """
    training = _of_training(cfg) if cfg.saliency.photos is None else None
    if cfg.saliency.output is None:
        raise ConfigError(
            "saliency.output is not set; say saliency.output=<folder>, or data.saliency=<folder> "
            "for a data set's maps"
        )
    output = expanded_path(cfg.saliency.output)
    photos = training or _of_folder(cfg, output)
    if any(path.parent.resolve() == output.resolve() for path in photos.values()):
        raise ConfigError(
            f"saliency.output '{output}' is the folder of the photos, whose names the maps would "
            "take; give another one"
        )
    settings = cfg.saliency
    model = SaliencyModel(settings.model, settings.size, settings.mean, settings.std)
    maker = SaliencyMaker(read_photo, model, output)
    fan_out = FanOut(**cfg.parallel)
    waiting = {name: path for name, path in photos.items() if not maker.path(name).is_file()}
    before = len(photos) - len(waiting)
    made = set(waiting)
    with (
        fan_out.results(maker, list(waiting.items()), usual=1) as skipped,
        bar(len(photos), "saliency", initial=before) as progress,
    ):
        for name, reason in zip(waiting, skipped, strict=True):
            if reason:
                log.warning("skipped: %s", reason)
                made.remove(name)
            progress.update(1)
    require_visible(map(maker.path, made), "saliency maps")
    done = before + len(made)
    if not done:
        first = next(iter(photos.values()))
        raise BadImageError(f"none of {len(photos)} files could be read as a photo, as {first}")
    log.info("%s: saliency of %d of %d files (%d before)", output, done, len(photos), before)


def _of_training(cfg: DictConfig) -> dict[str, Path]:
    """The configured data set's training photos, by id."""
    train = Configured(cfg).data.train
    return {name: train.photo_path(index) for index, name in enumerate(train.ids)}


def _of_folder(cfg: DictConfig, output: Path) -> dict[str, Path]:
    """Every file of the folder and its subfolders, by id. Hidden files are skipped."""
    folder = expanded_path(cfg.saliency.photos)
    if not folder.is_dir():
        raise MissingInputError(f"saliency.photos: {folder} is not a folder")
    # This command made the files in the output, unless the output is the folder of photos itself.
    made = None if output.resolve() == folder.resolve() else output.resolve()
    photos: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if hidden or not path.is_file() or made in path.resolve().parents:
            continue
        name = image_id(below.as_posix())
        if name in photos:
            raise ConfigError(
                f"saliency.photos: {photos[name]} and {path} would both get the map '{name}.png'; "
                "rename one of them"
            )
        photos[name] = path
    if not photos:
        raise MissingInputError(f"saliency.photos: {folder} holds no file")
    return photos
