"""Draw `steps.jpg`: three photos of the embedded data set, step by step from tags to masks.

Run it in the folder where `oaa reproduce` has finished: it reads `runs/synthetic/seed-0`.

    oaa reproduce
    python docs/images/steps.py docs/images/steps.jpg bird cat fish

It shows the first training photo that has this one tag, for each class that is named. Bird, cat and
fish are three of the eight classes, chosen because the steps are easy to see. On the first boat
all three maps fail: name the other classes to see them.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from hydra.utils import instantiate
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from omegaconf import OmegaConf
from PIL import Image

from oaa_pl.commands.main import main
from oaa_pl.data.source import Source
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.report.pictures import Picture, heat_overlay, label_overlay
from oaa_pl.store.reader import StoreReader

RUN = Path("runs/synthetic/seed-0")
MAPS = {"cam": "CAM", "oaa_max": "OAA\n(maximum)", "oaa_plus_hybrid": "OAA+\n(hybrid loss)"}
BEST = "oaa_plus_hybrid"  # its proxy labels and its segmenter are shown
MOST_BYTES = 200_000
DPI, QUALITY = 100, 88  # of a JPEG, as a photo keeps its colours there


def first_photos(train: Source, classes: list[str]) -> list[int]:
    """Index of the first photo that has the class as its one tag, for each class."""
    alone = train.labels.sum(axis=1) == 1
    columns = [train.labels[:, train.classes.index(name)] > 0 for name in classes]
    return [int(np.flatnonzero(column & alone)[0]) for column in columns]


def segmented(train: Source, indices: list[int]) -> list[Picture]:
    """Masks of these photos by `oaa predict`, with the segmenter of the run."""
    with tempfile.TemporaryDirectory() as folder:
        photos, output = Path(folder) / "photos", Path(folder) / "output"
        photos.mkdir()
        for index in indices:
            Image.fromarray(train.photo(index)).save(photos / f"{index}.png")
        words = [f"method={BEST}", f"predict.photos={photos}", f"predict.output={output}"]
        if status := main(["predict", *words]):
            sys.exit(status)
        return [load_label(output / "masks" / f"{index}.png.png") for index in indices]


def rows(train: Source, indices: list[int]) -> list[tuple[str, dict[str, Picture]]]:
    """The tag of each photo, and its panels by their titles."""
    stores = {
        title: StoreReader(RUN / "attention" / name / "store") for name, title in MAPS.items()
    }
    found = []
    for index, mask in zip(indices, segmented(train, indices), strict=True):
        photo = train.photo(index)
        size = (photo.shape[0], photo.shape[1])
        panels = {"photo": photo}
        for title, store in stores.items():
            attention = to_photo(store.maps(index).attention, size).max(axis=0)
            panels[title] = heat_overlay(photo, attention)
        proxy = load_label(RUN / "labels" / BEST / "proxy" / f"{train.ids[index]}.png")
        panels["proxy label"] = label_overlay(photo, proxy)
        panels["segmentation"] = label_overlay(photo, mask)
        panels["true mask\n(only for scores)"] = label_overlay(photo, train.mask(index))
        found.append((train.classes[int(train.labels[index].argmax())], panels))
    return found


def draw(shown: list[tuple[str, dict[str, Picture]]]) -> Figure:
    """One row for each photo, one labelled column for each step."""
    titles = list(shown[0][1])
    heights = [panels["photo"].shape[0] / panels["photo"].shape[1] for _, panels in shown]
    figure, axes = plt.subplots(
        len(shown), len(titles), squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0),
        figsize=(1.62 * len(titles) + 0.25, 1.62 * sum(heights) + 0.55),
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for line, (tag, panels) in zip(axes, shown, strict=True):
        for axis, title in zip(line, titles, strict=True):
            axis.imshow(panels[title], interpolation="lanczos", aspect="auto")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(f'tag "{tag}"', fontsize=11)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the picture, at most `MOST_BYTES` large."""
    figure.savefig(
        path, dpi=DPI, facecolor="white", pil_kwargs={"quality": QUALITY, "optimize": True}
    )
    if (size := path.stat().st_size) > MOST_BYTES:
        sys.exit(f"{path}: {size} bytes, expected {MOST_BYTES} at most; name fewer classes")


if __name__ == "__main__":
    path, *classes = sys.argv[1:]
    photos: Source = instantiate(OmegaConf.load(RUN / "classifier" / "config.yaml").data.train)
    save(draw(rows(photos, first_photos(photos, classes))), Path(path))
