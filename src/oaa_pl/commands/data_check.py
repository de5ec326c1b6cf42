"""`oaa data check`: read a data set once, and tell all that is wrong with it."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import get_class, get_object, instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig

from oaa_pl.callbacks.progress import bar
from oaa_pl.config.recipe import plain
from oaa_pl.config.sources import inherited_classes, require_values
from oaa_pl.data.box_files import BoxFiles
from oaa_pl.data.boxed_source import BoxedSource
from oaa_pl.data.check import Cue, Findings, check_images, check_lists
from oaa_pl.data.coco import CocoSource
from oaa_pl.data.folder import FolderSource
from oaa_pl.data.imagenet import ImagenetSource
from oaa_pl.data.layout_listing import add_box_faults, of_coco, of_imagenet
from oaa_pl.data.listing import Listing, of_folder, of_source, of_voc
from oaa_pl.data.remarks import shared_pictures
from oaa_pl.data.source import Source
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import (
    BadImageError,
    MissingImageError,
    MissingMaskError,
    OaaError,
    UnfitDataError,
)
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.home import expanded_path
from oaa_pl.files.image import is_there
from oaa_pl.proxy.background import FolderCue
from oaa_pl.report.contact_sheet import contact_sheet, jpeg

__all__ = ["run"]

# Layouts whose lister finds all that can be wrong, also where the source can be opened.
_WHOLE: tuple[tuple[type, Callable[..., Listing]], ...] = (
    (CocoSource, of_coco),
    (ImagenetSource, of_imagenet),
)
_MOST = 200  # lines of errors, and of warnings


def run(cfg: DictConfig) -> None:
    """Check the training and the validation photos; print what is found, write a contact sheet.

    Raises:
        ConfigError: if a value without a default is not given.
        UnfitDataError: if a training, or its scores, would stop at something.
        OutputError: if the contact sheet cannot be written.
    """
    require_values(cfg)
    listings = _listings(cfg)
    everything = [image.photo for listing in listings for image in listing.images]
    everything += [photo for listing in listings for photo in listing.unused]
    faults, samples, pictures = 0, [], []
    for place, listing in enumerate(listings):
        found = check_lists(listing, trained=place == 0, elsewhere=everything)
        cue = _cue(cfg, found) if place == 0 else None
        with bar(len(listing.images), f"check {listing.where}") as progress:
            of_images = check_images(listing, _of_files(cue), cfg.check.photos, progress.update)
        if cue is not None:
            of_images.faults += _black(cue, listing)
        found.faults = [*listing.faults, *found.faults, *of_images.faults]
        found.remarks += [*listing.remarks, *of_images.remarks]
        pictures.append(of_images.pictures)
        if len(pictures) > 1 and (shared := shared_pictures(*pictures)):
            found.remarks.append(shared)
        _say(listing, found, of_images)
        faults += len(set(found.faults))
        samples += of_images.samples
    if samples:
        sheet = expanded_path(cfg.check.sheet)
        write_whole(sheet, jpeg(contact_sheet(samples)))
        _line(f"{sheet}: contact sheet of {len(samples)} photos")
    if faults:
        raise UnfitDataError(
            f"{faults} errors that a training would stop at, listed above: correct them, and run "
            "'oaa data check' again"
        )


def _listings(cfg: DictConfig) -> list[Listing]:
    """Training photos, then those to validate on if there are some, of the same classes."""
    train = _listed(cfg.data.train, {})
    if train is None or cfg.data.val is None:
        return [] if train is None else [train]
    more = inherited_classes(cfg.data.val, train.classes) if train.classes else {}
    val = _listed(cfg.data.val, more)
    return [train] if val is None else [train, val]


def _listed(node: DictConfig, more: dict[str, Any]) -> Listing | None:
    """The data set, opened if it can be; else what its list says, with the reason why it cannot."""
    values = {key: value for key, value in plain(node).items() if key[0] != "_"} | more
    made_by = get_object(node._target_)
    of_a_folder = _is_of(made_by, FolderSource)
    whole = next((lister for kind, lister in _WHOLE if _is_of(made_by, kind)), None)
    try:
        source: Source | None = instantiate(node, **more)
    except InstantiationException as error:
        if not isinstance(error.__cause__, OaaError):
            raise
        refusal = error.__cause__
    else:
        if source is not None and whole is not None:
            return whole(**values)
        folder = expanded_path(values["root"]) if of_a_folder else None
        if source is None:
            return None
        listing = of_source(source, folder)
        if isinstance(source, BoxedSource) and source.box_files is not None:
            wanted = values.get("box_path") is not None
            add_box_faults(listing, source.box_files, source.box_rules, wanted)
        return listing
    if whole is not None:
        listing = whole(**values)
        return listing if listing.faults else _with_reason(listing, refusal)
    return _with_reason(_listed_anyway(made_by, values, node), refusal)


def _listed_anyway(made_by: object, values: dict[str, Any], node: DictConfig) -> Listing:
    """What the lists of a data set say that cannot be opened."""
    known: tuple[tuple[type[BoxedSource], Callable[..., Listing]], ...] = (
        (FolderSource, of_folder),
        (VocSource, of_voc),
    )
    for kind, lister in known:
        if _is_of(made_by, kind):
            listing = lister(**values)
            boxes = values.get("box_path")
            if boxes is not None and (path := expanded_path(boxes)).exists():
                add_box_faults(listing, BoxFiles(path), kind.box_rules)
            return listing
    return Listing(str(values.get("name", node._target_)))


def _with_reason(listing: Listing, refusal: OaaError) -> Listing:
    """Add why a data set cannot be opened, unless the listing has it."""
    # What is wrong with one photo is found once more with all others.
    by_photo = isinstance(refusal, BadImageError | MissingImageError | MissingMaskError)
    if str(refusal) not in listing.faults and not (by_photo and listing.images):
        listing.faults.insert(0, str(refusal))
    return listing


def _is_of(made_by: object, kind: type) -> bool:
    """Whether a source's `_target_` is that class, one made from it, or a function beside it."""
    if isinstance(made_by, type):
        return issubclass(made_by, kind)
    return getattr(made_by, "__module__", "") == kind.__module__


def _of_files(cue: FolderCue | None) -> Cue | None:
    """The cue for photos that must have a map, or have one: a fallback would take its time."""
    if cue is None or cue.fallback is None:
        return cue

    def of_file(name: str, photo: NDArray[np.uint8]) -> object:
        return cue(name, photo) if is_there(cue.folder / f"{name}.png") else None

    return of_file


def _black(cue: FolderCue, listing: Listing) -> list[str]:
    """Whether the saliency maps are all but black, as a line."""
    names = [one.name for one in listing.images if is_there(cue.folder / f"{one.name}.png")]
    try:
        cue.require_visible(names)
    except OaaError as error:
        return [str(error)]  # one that cannot be read is among the faults already
    return []


def _cue(cfg: DictConfig, found: Findings) -> FolderCue | None:
    """The background cue, if it reads files; None otherwise. An error in making it is a fault."""
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
