"""Draw one split into a folder, whole or not at all.

The folder is written under a temporary name and renamed when complete. Its manifest has the values
that it was drawn from. If the manifest differs or a file is missing, the folder is drawn again.

Layout: `<root>/<split>-<key>/` with `JPEGImages/<id>.png`, `SegmentationClass/<id>.png` (palette),
`tags.csv` (columns image,tags) and `manifest.json`. The folder has VOC's names, so that
other tools can read it. Photos are PNG, because JPEG would blur the edges of the exact masks.
"""

import csv
import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from oaa_pl.data.synthetic.scene import CLASSES, SPLITS, draw_scene
from oaa_pl.errors import ConfigError, OutputError
from oaa_pl.proxy.palette import save_label

__all__ = ["MASKS", "PHOTOS", "TAGS", "Recipe", "drawn_folder"]

PHOTOS, MASKS, TAGS = "JPEGImages", "SegmentationClass", "tags.csv"

_VERSION = 2  # raise when the drawings change, so that old folders are drawn again
_MANIFEST = "manifest.json"
_SMALLEST = 48  # pixels; with fewer, three objects cannot be distinguished


@dataclass(frozen=True)
class Recipe:
    """All values that determine the bytes of one split.

    Attributes:
        split: "train" or "val"; the two share no image.
        images: number of images, 1 or more.
        seed: of the drawings, 0 or more.
        long_side: pixels of each photo's longer side, 48 or more.
        reliability: probability of each weak cue of an object, in [0, 1].
        version: of the drawings.

    Raises:
        ConfigError: if a value is out of range.
    """

    split: str
    images: int
    seed: int
    long_side: int
    reliability: float
    version: int = _VERSION

    def __post_init__(self) -> None:
        rules = (
            ("split", f"one of {', '.join(SPLITS)}", self.split in SPLITS),
            ("images", "1 or more", self.images >= 1),
            ("seed", "0 or more", self.seed >= 0),
            ("long_side", f"{_SMALLEST} or more", self.long_side >= _SMALLEST),
            ("reliability", "in [0, 1]", 0 <= self.reliability <= 1),
        )
        for name, expected, kept in rules:
            if not kept:
                raise ConfigError(f"{name} must be {expected}, got {getattr(self, name)!r}")

    def folder_name(self) -> str:
        """Name of the split and eight hexadecimal digits that change with every value."""
        digest = hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()
        return f"{self.split}-{digest[:8]}"


def drawn_folder(root: Path, recipe: Recipe) -> Path:
    """The folder of a split. It is drawn now if it does not exist.

    Args:
        root: folder of the folders of all recipes; made if missing.
        recipe: of the split.

    Returns:
        The complete folder.

    Raises:
        OutputError: if it cannot be written.
    """
    folder = root / recipe.folder_name()
    if _is_complete(folder, recipe):
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=root))
        try:
            _draw(draft, recipe)
            _put_in_place(draft, folder, recipe)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"data.root '{root}' cannot store the synthetic data set ({error}); choose a folder "
            f"that can be written"
        ) from error
    return folder


def _is_complete(folder: Path, recipe: Recipe) -> bool:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    complete: bool = (
        manifest == asdict(recipe)
        and (folder / TAGS).is_file()
        and all(
            len(list((folder / kind).glob("*.png"))) == recipe.images for kind in (PHOTOS, MASKS)
        )
    )
    return complete


def _draw(draft: Path, recipe: Recipe) -> None:
    (draft / PHOTOS).mkdir()
    rows = []
    for index in range(recipe.images):
        scene = draw_scene(recipe.seed, recipe.split, index, recipe.long_side, recipe.reliability)
        name = f"{recipe.split}_{index:05d}"
        Image.fromarray(scene.photo).save(draft / PHOTOS / f"{name}.png", compress_level=1)
        save_label(draft / MASKS / f"{name}.png", scene.mask)
        visible = [CLASSES[category - 1] for category in np.unique(scene.mask) if category > 0]
        rows.append((name, " ".join(visible)))
    with (draft / TAGS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "tags"))
        writer.writerows(rows)
    manifest = json.dumps(asdict(recipe), indent=2)
    (draft / _MANIFEST).write_text(f"{manifest}\n", encoding="utf-8")
    draft.chmod(0o755)  # a temporary folder is private


def _put_in_place(draft: Path, folder: Path, recipe: Recipe) -> None:
    """Rename the draft. If another process was first, keep its folder."""
    if folder.is_dir() and not _is_complete(folder, recipe):
        shutil.rmtree(folder)  # a part of it was removed
    try:
        draft.rename(folder)
    except OSError:
        if not _is_complete(folder, recipe):
            raise
