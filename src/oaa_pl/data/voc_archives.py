"""Download the two archives for train_aug with torchvision, and unpack them.

Source: torchvision's `VOCSegmentation` and `SBDataset` for addresses and checksums; VOC 2012 by
Everingham et al., IJCV 2015; the Semantic Boundaries Dataset (SBD) by Hariharan et al., ICCV 2011.
"""

import errno
import http.client
import shutil
import socket
import tarfile
import urllib.error
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from torchvision.datasets import SBDataset
from torchvision.datasets.utils import download_url
from torchvision.datasets.voc import DATASET_YEAR_DICT

from oaa_pl.errors import DownloadError, IncompleteDataError, OutputError

__all__ = ["Archive", "fetch", "find_sbd", "sbd_archive", "unpack", "voc_archive"]

# Errors of this machine, not of the network.
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_MB = 1 << 20
_PATIENCE = 60.0  # seconds without a byte; urllib itself would wait forever


class Archive(NamedTuple):
    """A published archive, and the folder that it is unpacked to.

    Attributes:
        file: its name.
        url: address, from torchvision.
        md5: of the whole file, from torchvision.
        page: web page of its authors.
        inside: the needed folder in the archive.
        parts: needed files or folders of that folder; empty: all of it.
        becomes: the unpacked folder, below the folder that has the archive.
    """

    file: str
    url: str
    md5: str
    page: str
    inside: str
    parts: tuple[str, ...]
    becomes: str


def voc_archive() -> Archive:
    """VOC 2012 trainval: photos, lists and masks; about 2 GB."""
    known = DATASET_YEAR_DICT["2012"]
    page = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
    place = PurePosixPath(known["base_dir"]).as_posix()
    return Archive(known["filename"], known["url"], known["md5"], page, place, (), place)


def sbd_archive() -> Archive:
    """SBD: only the masks and the two lists; its photos are in VOC."""
    page = "http://home.bharathh.info/pubs/codes/SBD/download.html"
    inside, parts = "benchmark_RELEASE/dataset", ("cls", "train.txt", "val.txt")
    return Archive(SBDataset.filename, SBDataset.url, SBDataset.md5, page, inside, parts, "SBD")


def find_sbd(root: Path) -> Path | None:
    """The folder that holds SBD's `cls`, `train.txt` and `val.txt`.

    Args:
        root: folder of the archive, or where it was unpacked by hand or by torchvision.

    Returns:
        Its path, or None if it is in none of these places.
    """
    places = (root / "SBD", root / "benchmark_RELEASE" / "dataset", root)
    return next(
        (p for p in places if all((p / part).exists() for part in sbd_archive().parts)), None
    )


def fetch(archives: Sequence[Archive], root: Path) -> None:
    """Download missing archives. Keep an existing one if its md5 is right.

    Args:
        archives: all needed archives, so that the error can name them all.
        root: their folder; made if missing.

    Raises:
        DownloadError: if a download fails or has another checksum.
        OutputError: if the folder cannot be written, the disk is full, or an unpacked folder exists
            but is incomplete.
    """
    for archive in archives:
        final = root / archive.becomes
        if final.exists() and not (final.is_dir() and not any(final.iterdir())):
            raise OutputError(f"{final} is there, but not whole: move it away and run this again")
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        for archive in archives:
            try:
                download_url(archive.url, root, archive.file, archive.md5)
            except (OSError, RuntimeError, http.client.HTTPException, EOFError) as error:
                if getattr(error, "errno", None) in _LOCAL:
                    raise OutputError(_unwritable(root, error)) from error
                raise DownloadError(_by_hand(archive, archives, root, error)) from error
    finally:
        socket.setdefaulttimeout(patience)


def unpack(archive: Archive, root: Path) -> Iterator[int]:
    """Unpack an archive to a hidden folder, and rename the folder when it is complete.

    Args:
        archive: an archive in `root`.
        root: gets the folder `archive.becomes`.

    Yields:
        MB of the archive that were read.

    Raises:
        IncompleteDataError: if the archive is damaged or lacks a needed part.
        OutputError: if it cannot be written, or the disk is full.
    """
    path, final = root / archive.file, root / archive.becomes
    draft = root / f".{final.name}.unpacking"
    inside = PurePosixPath(archive.inside)
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of a killed process
        draft.mkdir(parents=True)
        with path.open("rb") as raw, tarfile.open(fileobj=raw) as tar:
            # Refuse names that lead out of the folder. Python up to 3.11.3 has no filters.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            for member in tar:
                name = PurePosixPath(member.name)
                if _wanted(name, inside, archive.parts):
                    member.name = name.relative_to(inside).as_posix()
                    tar.extract(member, draft)
                yield raw.tell() // _MB
        lacks = [part for part in archive.parts or ("ImageSets",) if not (draft / part).exists()]
        if lacks:
            raise IncompleteDataError(
                f"{path} holds no {archive.inside}/{lacks[0]}: get {archive.file} from "
                f"{archive.page} in its place"
            )
        final.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(final)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise IncompleteDataError(
            f"{path} cannot be unpacked ({error}): remove it and run the same command again"
        ) from error
    except OSError as error:
        raise OutputError(_unwritable(root, error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _wanted(name: PurePosixPath, inside: PurePosixPath, parts: tuple[str, ...]) -> bool:
    if inside not in name.parents:
        return False
    return not parts or name.relative_to(inside).parts[0] in parts


def _by_hand(failed: Archive, archives: Sequence[Archive], root: Path, error: BaseException) -> str:
    reason = error.reason if type(error) is urllib.error.URLError else error
    there = root / failed.file
    old = f" (the file {there} has another md5)" if there.is_file() else ""
    needed = " and ".join(f"{a.file} (md5 {a.md5}) from {a.page}" for a in archives)
    return (
        f"{failed.file} could not be fetched from {failed.url}: {reason}{old}; without a network "
        f"get {needed} by hand, put what you got into {root} as it is, and run the same command "
        "again"
    )


def _unwritable(root: Path, error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or error
    return (
        f"data.root {root} cannot be written ({reason}); free disk space (about 6 GB), or choose "
        "another folder"
    )
