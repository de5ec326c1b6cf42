"""A folder of generated photos, like VOC's in size, with tags and label maps."""

from pathlib import Path

import cv2
import numpy as np

from oaa_pl.data.synthetic.scene import CLASSES, draw_scene

__all__ = ["PHOTO", "make_photos"]

PHOTO = (500, 375)  # width and height of most of VOC's photos
_SIZES = (PHOTO, (500, 333), (375, 500), (500, 375), (334, 500), (500, 400))
_SCENES, _DRAWN = 12, 200  # scenes, and the long side in which they are drawn: 0.2 s each
_NOISE = 6.0  # levels: a photo's texture, which a drawing lacks


def make_photos(folder: Path, number: int) -> None:
    """Write `photos/*.jpg` of mixed sizes, `labels/*.png` and `tags.csv`.

    Args:
        folder: gets them.
        number: of photos; each scene comes in several sizes.
    """
    rng, rows = np.random.default_rng(0), ["image,tags"]
    scenes = [draw_scene(0, "train", n, _DRAWN, 0.5) for n in range(_SCENES)]
    for name in ("photos", "labels"):
        (folder / name).mkdir(parents=True)
    for n in range(number):
        scene, size = scenes[n % _SCENES], _SIZES[n // _SCENES % len(_SIZES)]
        photo = cv2.resize(scene.photo, size, interpolation=cv2.INTER_CUBIC)
        noisy = (photo + rng.normal(0, _NOISE, photo.shape)).clip(0, 255).astype(np.uint8)
        label = cv2.resize(scene.mask, size, interpolation=cv2.INTER_NEAREST)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
        cv2.imwrite(str(folder / f"photos/{n:03}.jpg"), noisy[..., ::-1], quality)
        cv2.imwrite(str(folder / f"labels/{n:03}.png"), label)
        tags = ";".join(CLASSES[c - 1] for c in np.unique(scene.mask) if c)
        rows.append(f"{n:03}.jpg,{tags}")
    (folder / "tags.csv").write_text("\n".join(rows) + "\n")
