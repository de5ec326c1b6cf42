"""`oaa data`: download PASCAL VOC 2012 and SBD, and make train_aug; what is there is left alone.

    <data.root>/VOCtrainval_11-May-2012.tar, benchmark.tgz     as published; may be removed after
    <data.root>/VOCdevkit/VOC2012/JPEGImages, ...              VOC 2012
                                 /ImageSets/Segmentation/train_aug.txt
                                 /SegmentationClassAug
    <data.root>/SBD/cls, train.txt, val.txt                    masks and lists of SBD

`data.root` may be an empty or new folder, one that holds `VOCdevkit/VOC2012`, or the `VOC2012`
folder itself. A folder whose lists train_aug and val are there, each image with its mask, is taken
as it is, whatever its size; what this command downloads or lists must have the published counts.
"""

import logging
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from oaa_pl.callbacks.progress import bar
from oaa_pl.data.train_aug import (
    IMAGES,
    SPLIT,
    check_photos,
    make_masks,
    train_aug_ids,
    without_mask,
    write_list,
)
from oaa_pl.data.voc_archives import Archive, fetch, find_sbd, sbd_archive, unpack, voc_archive
from oaa_pl.data.voc_folder import check_whole, find_voc, listed, read_ids
from oaa_pl.errors import ConfigError, MissingInputError, OaaError, OutputError
from oaa_pl.files.home import expanded_path
from oaa_pl.files.lock import WriterLock

__all__ = ["run"]

log = logging.getLogger(__name__)

_SPLITS = (SPLIT, "train", "trainval")


def run(cfg: DictConfig) -> None:
    """Make `data.root` hold all that `experiment=voc12` trains and tests on.

    Raises:
        ConfigError: if the data set is not VOC 2012, or its folder is not given.
        DownloadError: if an archive is needed and cannot be fetched.
        IncompleteDataError: if what is there or was fetched is not whole.
        OutputError: if the folder cannot be written.
        StoreError: if another process prepares the folder.
    """
    root = _root(cfg)
    _say_if_no_cue(cfg)
    voc = find_voc(root)
    if voc is None or not _prepared(voc):
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = WriterLock(root / ".preparing.lock")
        except OaaError:
            raise  # another process is at it
        except OSError as error:
            raise OutputError(
                f"data.root {root} cannot be written ({error.strerror}); choose another folder"
            ) from error
        try:
            voc = _prepare(root)
        finally:
            lock.release()
    train, val = (len(read_ids(listed(voc, split))) for split in (SPLIT, "val"))
    if train != IMAGES:
        log.warning("%s has %d ids, not the %d of the published list", SPLIT, train, IMAGES)
    log.info("%s: %d photos in %s, %d in val, each with a mask", voc, train, SPLIT, val)


def _root(cfg: DictConfig) -> Path:
    if not str(cfg.data.train._target_).endswith(".VocSource"):
        raise ConfigError(
            "oaa data prepares PASCAL VOC 2012 only: say experiment=voc12 data.root=<folder>"
        )
    if OmegaConf.is_missing(cfg.data, "root"):
        raise ConfigError("data.root is not set and has no default; say data.root=<folder>")
    if cfg.data.train_split not in _SPLITS:
        raise ConfigError(
            f"oaa data makes the lists {', '.join(_SPLITS)}, but data.train_split is "
            f"{cfg.data.train_split!r}: say experiment=voc12, or do without this command"
        )
    return expanded_path(cfg.data.root)


def _say_if_no_cue(cfg: DictConfig) -> None:
    """What `oaa reproduce` will refuse is better known before an hour of downloading."""
    try:
        instantiate(cfg.background)
    except InstantiationException as error:
        if not isinstance(error.__cause__, MissingInputError):
            raise
        log.warning("before 'oaa reproduce': %s", error.__cause__)


def _prepared(voc: Path) -> bool:
    """Whether nothing is to be done: both lists, and a photo and a mask of each image."""
    if not _has_lists(voc):
        return False
    ids = _all_ids(voc)
    check_photos(voc, ids)
    return not without_mask(voc, ids)


def _prepare(root: Path) -> Path:
    voc, sbd = find_voc(root), find_sbd(root)
    if voc is not None and not _has_lists(voc):
        check_whole(voc)
    needed = [] if voc is not None else [voc_archive()]
    if sbd is None and (voc is None or _needs_sbd(voc)):
        needed.append(sbd_archive())
    fetch(needed, root)
    for archive in needed:
        _unpack(archive, root)
    if voc is None:
        voc = root / voc_archive().becomes
        check_whole(voc)
    sbd = find_sbd(root)
    made = not listed(voc, SPLIT).is_file()
    # `made` implies that SBD was needed, so it is there.
    ids = train_aug_ids(voc, sbd) if made and sbd is not None else read_ids(listed(voc, SPLIT))
    everything = sorted({*ids, *read_ids(listed(voc, "val"))})
    check_photos(voc, everything)
    todo = without_mask(voc, everything)
    with bar(len(todo), "masks of train_aug") as progress:
        for _ in make_masks(voc, sbd, todo):
            progress.update(1)
    if made:
        write_list(voc, ids)  # last: the list says that the masks are there
    return voc


def _needs_sbd(voc: Path) -> bool:
    if not listed(voc, SPLIT).is_file():
        return True
    own = voc / "SegmentationClass"
    return any(not (own / f"{name}.png").is_file() for name in without_mask(voc, _all_ids(voc)))


def _has_lists(voc: Path) -> bool:
    return all(listed(voc, split).is_file() for split in (SPLIT, "val"))


def _all_ids(voc: Path) -> list[str]:
    return sorted({i for split in (SPLIT, "val") for i in read_ids(listed(voc, split))})


def _unpack(archive: Archive, root: Path) -> None:
    size = (root / archive.file).stat().st_size >> 20
    with bar(size, f"unpack {archive.file}", "MB") as progress:
        for done in unpack(archive, root):
            progress.update(done - progress.n)
