"""Made-up photos of the explorer."""

import numpy as np

from oaa_pl.report.explorer import ExploredPhoto
from oaa_pl.report.layers import label_layer, map_layer
from oaa_pl.report.pictures import data_uri


def explored(place: int, tags: tuple[str, ...] = ("boat",), prefix: str = "") -> ExploredPhoto:
    """A made-up photo: CAM scores 10 x (place + 1), OAA+ 60; the first one was watched."""
    generator = np.random.default_rng(place)
    photo = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    label = generator.integers(0, 2, (30, 40)).astype(np.uint8)
    maps = {name: map_layer(generator.random((6, 8))) for name in ("oaa_plus_hybrid", "cam")}
    return ExploredPhoto(
        image_id=f"{prefix}photo-{place}",
        split="train",
        tags=tags,
        size=(30, 40),
        photo=data_uri(photo, 64),
        layers={"map": maps, "proxy": dict.fromkeys(maps, label_layer(label, 64))},
        truth=label_layer(label, 64),
        epochs=[[(e, map_layer(generator.random((6, 8)))) for e in (1, 2)] if place == 0 else []],
        scores={"map": {"cam": 10.0 * (place + 1), "oaa_plus_hybrid": 60.0}},
    )
