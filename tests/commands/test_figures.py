"""The paper's figures from a run, and the rules by which their images are chosen."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.commands.figures import _segmentations
from oaa_pl.commands.record import Run
from oaa_pl.data.voc import VocSource
from oaa_pl.labels.palette import save_label


@pytest.mark.parametrize("name", ["figure1", "figure4", "figure5"])
def test_every_figure_is_drawn_and_small_enough_to_commit(finished: Path, name: str) -> None:
    path = finished / f"runs/tiny/report/{name}.jpg"
    assert path.stat().st_size <= 200_000
    with Image.open(path) as picture:
        assert np.asarray(picture).std() > 10


def test_figure_4_goes_from_the_best_image_to_the_worst(tmp_path: Path, tiny_voc: Path) -> None:
    val = VocSource(tiny_voc, "train")
    run = Run(tmp_path, "x", tmp_path)
    folder = run.segmenter("oaa_max")
    right = len(val.ids) - 1
    for index, name in enumerate(val.ids):
        truth = val.mask(index)
        save_label(folder / f"predictions/{name}.png", truth if index == right else 0 * truth)
    (folder / "metrics.csv").touch()
    rows = list(_segmentations(run, val))
    assert rows[0].image_id == val.ids[right]
    assert rows[0].tags[-1] == "OAA: 100 %"
    shares = [int(row.tags[-1].split()[1]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 60
    assert [*rows[0].panels] == ["photo", "OAA", "truth"]
