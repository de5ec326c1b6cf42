"""Remarks about a data set: problems that would not stop a training, one line each.

Shapes: H x W pixels of a photo.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from oaa_pl.data.images import list_photos
from oaa_pl.data.listing import Listed, Listing
from oaa_pl.errors import first_few

__all__ = ["odd_files", "odd_photo", "odd_tags", "shared_pictures", "twins"]

_TINY = 32  # pixels of the short side: a network sees almost nothing
_LONG = 4.0  # long side / short side: in a square, objects are hard to recognise
_RARE = 2  # with this many photos or fewer, a class cannot be learned

# Format to its suffixes. Other formats get no remark.
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"},
    "PNG": {".png", ".apng"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "BMP": {".bmp", ".dib"},
    "GIF": {".gif"},
}


def odd_photo(path: Path, size: tuple[int, int], kind: str) -> Iterator[str]:
    """A photo with the suffix of another format, too small or too long.

    Args:
        path: its file.
        size: (H, W) in pixels.
        kind: format of its content, as Pillow calls it.
    """
    suffixes = _SUFFIXES.get(kind)
    if suffixes is not None and path.suffix.lower() not in suffixes:
        yield f"{path} holds a {kind}, whatever its name says: give it the right suffix"
    height, width = size
    if min(size) < _TINY:
        yield f"{path} is tiny ({width} x {height} px): take a larger photo, or leave it out"
    elif max(size) > _LONG * min(size):
        yield (
            f"{path} is {width} x {height} px, {max(size) / min(size):.1f} times as long as wide: "
            "cut it, since it is squeezed into a square"
        )


def twins(pictures: Iterable[Sequence[Listed]]) -> Iterator[str]:
    """Photos with equal pixels under different names.

    Args:
        pictures: for each picture, the photos that show it.
    """
    for images in pictures:
        if len(images) < 2:
            continue
        names = first_few([str(image.photo) for image in images])
        tags = {frozenset(image.tags) for image in images}
        if len(tags) > 1:
            each = " / ".join(", ".join(image.tags) or "none" for image in images[:5])
            yield f"{names} are one picture with different tags ({each}): keep one, rightly tagged"
        else:
            yield f"{names} are one picture: keep one of them"


def shared_pictures(
    train: Mapping[str, Sequence[Listed]], val: Mapping[str, Sequence[Listed]]
) -> str | None:
    """A line if photos are in training and in validation, which makes scores too good; else None.

    Args:
        train: digest of the pixels to training photos.
        val: digest of the pixels to validation photos.
    """
    both = [digest for digest in train if digest in val]
    if not both:
        return None
    first = f"{train[both[0]][0].photo} and {val[both[0]][0].photo}"
    return (
        f"{len(both)} pictures are trained on and validated on ({first}), which flatters the "
        "scores: take them off one of the lists"
    )


def odd_tags(listing: Listing) -> Iterator[str]:
    """Classes that cannot be learned: too rare, on every photo, or the only one."""
    counts = Counter(tag for image in listing.images for tag in set(image.tags))
    if len(listing.classes) == 1:
        yield (
            f"{listing.classes[0]!r} is the only class, so nothing tells it from others: add "
            "photos of other classes"
        )
    for name in listing.classes:
        if counts[name] <= _RARE:
            yield (
                f"class {name!r} has only {counts[name]} of the photos, too few to learn it: add "
                "photos, or leave it out"
            )
        elif counts[name] == len(listing.images):
            yield (
                f"class {name!r} is on every photo, so nothing tells it from the background: add "
                "photos without it"
            )


def odd_files(listing: Listing, elsewhere: Sequence[Path]) -> Iterator[str]:
    """Names that look alike, photos without a tag, and entries that are not regular files.

    Args:
        listing: the data set.
        elsewhere: photos of another split.
    """
    alike = defaultdict(set)
    for name in (image.name for image in listing.images):
        alike["".join(unicodedata.normalize("NFKC", name).casefold().split())].add(name)
    for group in alike.values():
        if len(group) > 1:
            yield (
                f"the names {', '.join(map(repr, sorted(group)))} look alike: rename all but one, "
                "since some systems take them for one file"
            )
    if listing.folder is None or not listing.folder.is_dir():
        return
    known = {path.resolve() for path in (*(one.photo for one in listing.images), *elsewhere)}
    bare = [path for path in list_photos(listing.folder) if path.resolve() not in known]
    if bare:
        shown = first_few([str(path.relative_to(listing.folder)) for path in bare])
        yield f"{len(bare)} photos in {listing.folder} have no tag and are left out: {shown}"
    for path in sorted(listing.folder.rglob("*")):
        if not path.is_file() and not path.is_dir():
            kind = "a link to nothing" if path.is_symlink() else "not a regular file"
            yield f"{path} is {kind}: remove it, or replace it by a photo"
