"""`oaa data check`: read a data set once, and tell all that is wrong with it."""

import sys
from collections import Counter
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from oaa_pl.callbacks.progress import bar
from oaa_pl.commands import build
from oaa_pl.data.check import Cue, Findings, check_images, check_lists
from oaa_pl.data.folder import FolderSource
from oaa_pl.data.listing import Listing, of_folder, of_source, of_voc
from oaa_pl.data.remarks import shared_pictures
from oaa_pl.data.source import Source
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import BadImageError, MissingImageError, OaaError, OutputError, UnfitDataError
from oaa_pl.labels.background import FolderCue
from oaa_pl.report.contact_sheet import contact_sheet, jpeg
from oaa_pl.whole_file import put_whole

__all__ = ["run"]

_MOST = 200  # lines of errors, and of warnings


def run(cfg: DictConfig) -> None:
    """Check the training and the validation photos; print what is found, write a contact sheet.

    Raises:
        ConfigError: if a value without a default is not given.
        UnfitDataError: if a training, or its scores, would stop at something.
        OutputError: if the contact sheet cannot be written.
    """
    build.require_values(cfg)
    nodes = [node for node in (cfg.data.train, cfg.data.val) if node is not None]
    listings = [_listed(node) for node in nodes]
    everything = [image.photo for listing in listings for image in listing.images]
    faults, samples, pictures = 0, [], []
    for place, listing in enumerate(listings):
        found = check_lists(listing, trained=place == 0, elsewhere=everything)
        cue = _cue(cfg, found) if place == 0 else None
        with bar(len(listing.images), f"check {listing.where}") as progress:
            of_images = check_images(listing, cue, cfg.check.photos, progress.update)
        found.faults = [*listing.faults, *found.faults, *of_images.faults]
        found.remarks += of_images.remarks
        pictures.append(of_images.pictures)
        if len(pictures) > 1 and (shared := shared_pictures(*pictures)):
            found.remarks.append(shared)
        _say(listing, found, of_images)
        faults += len(set(found.faults))
        samples += of_images.samples
    if samples:
        sheet = Path(cfg.check.sheet).expanduser()
        try:
            put_whole(sheet, jpeg(contact_sheet(samples)))
        except OSError as error:
            raise OutputError(
                f"check.sheet: {sheet} cannot be written ({error.strerror}); give another path"
            ) from error
        _line(f"{sheet}: contact sheet of {len(samples)} photos")
    if faults:
        raise UnfitDataError(
            f"{faults} errors that a training would stop at, listed above: correct them, and run "
            "'oaa data check' again"
        )


def _listed(node: DictConfig) -> Listing:
    """The data set, opened if it can be; else what its list says, with the reason why it cannot."""
    kind = get_class(node._target_)
    try:
        source: Source = instantiate(node)
    except InstantiationException as error:
        if not isinstance(error.__cause__, OaaError):
            raise
        refusal = error.__cause__
    else:
        folder = Path(node.root).expanduser() if issubclass(kind, FolderSource) else None
        return of_source(source, folder)
    values = {key: value for key, value in build.plain(node).items() if not key.startswith("_")}
    if issubclass(kind, FolderSource):
        listing = of_folder(**values)
    elif issubclass(kind, VocSource):
        listing = of_voc(**values)
    else:
        listing = Listing(str(values.get("name", kind.__name__)))
    # What is wrong with one photo is found once more with all others.
    by_photo = isinstance(refusal, BadImageError | MissingImageError)
    if str(refusal) not in listing.faults and not (by_photo and listing.images):
        listing.faults.insert(0, str(refusal))
    return listing


def _cue(cfg: DictConfig, found: Findings) -> Cue | None:
    """The background cue, if it reads files; why there is none is a fault."""
    if not issubclass(get_class(cfg.background._target_), FolderCue):
        return None
    try:
        cue: FolderCue = instantiate(cfg.background)
    except InstantiationException as error:
        if not isinstance(error.__cause__, OaaError):
            raise
        found.faults.append(str(error.__cause__))
        return None
    return cue


def _say(listing: Listing, found: Findings, images: Findings) -> None:
    counts = Counter(tag for image in listing.images for tag in set(image.tags))
    classes = ", ".join(f"{name} ({counts[name]})" for name in listing.classes)
    _line(
        f"{listing.where}: {len(listing.images)} photos, {len(listing.classes)} classes: {classes}"
    )
    if images.sizes:
        by_area = sorted(images.sizes, key=lambda size: size[0] * size[1])
        shown = [f"{w} x {h}" for h, w in (by_area[0], by_area[len(by_area) // 2], by_area[-1])]
        formats = ", ".join(f"{name} {count}" for name, count in images.formats.most_common())
        _line(f"  smallest {shown[0]}, middle {shown[1]}, largest {shown[2]} px; {formats}")
    for kind, lines in (("error", found.faults), ("warning", found.remarks)):
        unique = list(dict.fromkeys(" ".join(line.split()) for line in lines))
        _line(f"  {len(unique)} {kind}s")
        for line in unique[:_MOST]:
            _line(f"  {kind}: {line}")
        if len(unique) > _MOST:
            _line(f"  {kind}: and {len(unique) - _MOST} more; correct these first")


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
