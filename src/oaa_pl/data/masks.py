"""True masks: read class ids from common formats, and check that they fit a photo.

A mask must fit the photo as it is shown: if an orientation tag turns the photo, the mask is stored
turned. A mask with its own orientation tag is refused, because tools disagree about it.

Shapes: masks (H, W) uint8: 0 background, c + 1 class c, 255 ignored; C foreground classes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import BadImageError, BadMaskError, MissingImageError, MissingMaskError
from oaa_pl.files.image import Header, Loaded, load_upright, read_header
from oaa_pl.ids import IGNORED
from oaa_pl.proxy.palette import voc_palette

__all__ = ["check_mask", "check_size", "read_mask", "read_mask_header"]

_VOC_IDS = {tuple(colour): i for i, colour in enumerate(voc_palette().tolist())}


def read_mask_header(path: Path) -> Header:
    """Read a mask's header.

    Args:
        path: of the mask.

    Raises:
        MissingMaskError: if there is no such file.
        BadMaskError: if it cannot be read, is a JPEG or has an orientation tag.
    """
    try:
        return _accepted(read_header(path), path)
    except MissingImageError:
        raise MissingMaskError(f"{path} does not exist: only evaluation needs masks") from None
    except BadImageError as error:
        raise BadMaskError(f"mask {error}") from error


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read class ids: the palette indices of a palette PNG, or the values of a gray PNG.

    Three equal channels count as gray. An alpha channel must be opaque everywhere.

    Args:
        path: a PNG file.

    Returns:
        (H, W) uint8. `check_mask` checks ids and size.

    Raises:
        MissingMaskError: if there is no such file.
        BadMaskError: if it cannot be read, has colours instead of ids, ids above 255, or VOC's
            colours at other indices than in VOC.
    """
    try:
        loaded = load_upright(path)
    except MissingImageError:
        raise MissingMaskError(f"{path} does not exist: only evaluation needs masks") from None
    except BadImageError as error:
        raise BadMaskError(f"mask {error}") from error
    _accepted(loaded.header, path)
    image = loaded.image
    if image.mode == "P":
        ids = np.array(image, dtype=np.uint8)
        _refuse_shuffled_palette(ids, image, path)
        return ids
    if image.mode in ("L", "1"):
        return _gray_ids(loaded)
    if image.mode.startswith("I"):
        return _deep_ids(np.asarray(image), path)
    if image.mode in ("LA", "RGB", "RGBA") and not loaded.header.deep:
        return _equal_channels(np.array(image), image.mode, path)
    raise BadMaskError(
        f"{path} is a mask of mode {image.mode}, expected class ids in a palette or 8-bit gray "
        "PNG: save the ids, not the colours"
    )


def check_size(found: tuple[int, int], path: Path, size: tuple[int, int]) -> None:
    """Refuse a mask of another size than its photo.

    Args:
        found: (H, W) of the mask.
        path: the mask's file, for the message.
        size: (H, W) of the photo as it is shown.

    Raises:
        BadMaskError: if they differ.
    """
    if found == size:
        return
    what = "scale the mask (nearest neighbour) to its photo"
    if found == size[::-1]:
        what = (
            "turn the mask; if an orientation tag turns the photo, the mask must be stored as the "
            "photo is shown"
        )
    raise BadMaskError(
        f"{path} is {found[1]} x {found[0]} px but its photo is {size[1]} x {size[0]} px: {what}"
    )


def check_mask(
    mask: NDArray[np.uint8], path: Path, num_classes: int, size: tuple[int, int]
) -> None:
    """Refuse a mask that does not fit its photo or the classes.

    Args:
        mask: class ids, (H, W).
        path: the mask's file, for the message.
        num_classes: C, the number of foreground classes.
        size: (H, W) of the photo, in pixels.

    Raises:
        BadMaskError: if the size differs, or an id is neither in 0..C nor 255.
    """
    check_size((mask.shape[0], mask.shape[1]), path, size)
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    foreign = [int(i) for i in present if num_classes < i < IGNORED]
    if foreign:
        raise BadMaskError(
            f"{path} has the ids {foreign}, expected 0..{num_classes} (0 = background) or "
            f"{IGNORED} (ignored): correct the mask or the list of classes"
        )


def _accepted(header: Header, path: Path) -> Header:
    if header.format in ("JPEG", "MPO"):
        raise BadMaskError(f"{path} is a JPEG, which changes ids at edges: save the mask as PNG")
    if header.orientation != 1:
        raise BadMaskError(
            f"{path} is a mask with an orientation tag of its own: turn its pixels as the photo is "
            "shown, and save it without the tag"
        )
    return header


def _gray_ids(loaded: Loaded) -> NDArray[np.uint8]:
    """Sample values. Undo Pillow's scaling of 2 and 4 bits to 0..255."""
    ids = np.array(loaded.image, dtype=np.uint8)
    step = {"L;2": 85, "L;4": 17}.get(loaded.raw_mode, 1)
    return ids // np.uint8(step)


def _deep_ids(samples: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > IGNORED:
        raise BadMaskError(
            f"{path} is a mask with values {low} to {high}, expected class ids in 0..{IGNORED}: "
            "save the ids, not scaled, in an 8-bit PNG"
        )
    return samples.astype(np.uint8)


def _equal_channels(channels: NDArray[np.uint8], mode: str, path: Path) -> NDArray[np.uint8]:
    if mode.endswith("A"):
        if (channels[..., -1] != 255).any():
            raise BadMaskError(
                f"{path} is a mask with transparent pixels (mode {mode}), which have no id: save "
                f"the ids without an alpha channel, {IGNORED} where pixels shall not count"
            )
        channels = channels[..., :-1]
    if (channels != channels[..., :1]).any():
        raise BadMaskError(
            f"{path} is a mask of colours (mode {mode}, expected class ids in a palette or 8-bit "
            "gray PNG): save the ids, not the colours"
        )
    return np.ascontiguousarray(channels[..., 0])


def _refuse_shuffled_palette(ids: NDArray[np.uint8], image: Image.Image, path: Path) -> None:
    """Refuse VOC's colours under other indices: a tool has renumbered them."""
    flat = image.getpalette("RGB") or []
    palette = [tuple(flat[k : k + 3]) for k in range(0, len(flat) - 2, 3)]
    used = [int(i) for i in np.flatnonzero(np.bincount(ids.ravel())) if i < len(palette)]
    colours = [palette[i] for i in used]
    if len(set(colours)) < len(colours):
        return  # the palette does not distinguish the ids
    meant = {i: _VOC_IDS.get(colour) for i, colour in zip(used, colours, strict=True)}
    painted = {i: voc for i, voc in meant.items() if i not in (0, IGNORED) or voc not in (i, None)}
    moved = {i: voc for i, voc in painted.items() if voc not in (i, None)}
    if moved and None not in painted.values():
        index, voc = next(iter(moved.items()))
        raise BadMaskError(
            f"{path} has the colours of VOC's palette at other indices (that of id {voc} at "
            f"{index}), so its indices are not class ids: give each pixel the id of its colour and "
            "save that as 8-bit gray; or, if the indices are right, save them as 8-bit gray"
        )
