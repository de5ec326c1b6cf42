"""The paper's figures from a run, and the rules by which their images are chosen."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.config.sources import pairs_of
from oaa_pl.data.voc import VocSource
from oaa_pl.proxy.palette import save_label
from oaa_pl.report.grid import GridRow
from oaa_pl.report.pictures import heat_overlay, label_overlay
from oaa_pl.runs.folders import Run
from oaa_pl.stages.figures import _attention_over_training, _segmentations, _side_by_side
from oaa_pl.stages.picture_rows import growth_strips
from oaa_pl.store.layout import Header
from oaa_pl.store.memmap import MemmapStore


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


def level(value: float, photo: np.ndarray) -> np.ndarray:
    """What a map of one value looks like over a photo."""
    return heat_overlay(photo, np.full((2, 2), value))


def test_figure_1_has_an_epochs_attention_above_what_was_accumulated(
    tmp_path: Path, tiny_voc: Path
) -> None:
    train = VocSource(tiny_voc, "train")
    run = Run(tmp_path, "x", tmp_path)
    (run.classifier / "growth").mkdir(parents=True)
    two = next(i for i in range(len(train.ids)) if train.labels[i].sum() == 2)
    for epoch in range(12):
        low, high = np.full((1, 4, 4), epoch / 20), np.full((1, 4, 4), 0.4 + epoch / 20)
        np.savez(
            run.classifier / f"growth/epoch-{epoch:03d}.npz",
            **{f"attention-{two}": np.concatenate([low, 0 * low])},
            **{f"cumulative-{two}": np.concatenate([high, 0 * high])},
        )
    above, below = _attention_over_training(run, train)
    name = train.classes[int(np.flatnonzero(train.labels[two])[0])]
    assert [row.image_id for row in (above, below)] == [train.ids[two]] * 2
    assert (above.tags, below.tags) == ([f"{name}: of the epoch"], [f"{name}: accumulated"])
    photo = train.photo(two)
    for row, base in ((above, 0.0), (below, 0.4)):
        titles = [*row.panels]
        assert (titles[0], titles[1], titles[-1], len(titles)) == (
            "photo",
            "epoch 1",
            "epoch 12",
            9,
        )
        for title in titles[1:]:
            shown = base + (int(title.split()[1]) - 1) / 20
            np.testing.assert_allclose(row.panels[title], level(shown, photo), atol=1)


def test_the_pages_strip_says_what_the_maps_of_the_run_did(tmp_path: Path, tiny_voc: Path) -> None:
    train = VocSource(tiny_voc, "train")
    run = Run(tmp_path, "x", tmp_path)
    (run.classifier / "growth").mkdir(parents=True)
    index = next(i for i in range(len(train.ids)) if train.labels[i].sum() == 1)
    half, other = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    half[:, :2], other[:, 2:] = 0.8, 0.8
    for epoch, (seen, kept) in enumerate([(half, half), (other, half + other)]):
        np.savez(
            run.classifier / f"growth/epoch-{epoch:03d}.npz",
            **{f"attention-{index}": seen, f"cumulative-{index}": kept},
        )
    (strip,) = growth_strips(run, train, 0.3)
    assert [epoch for epoch, _ in strip.frames] == [1, 2]
    assert "50 % of the photo after epoch 1 and 100 % after epoch 2, 50 % in" in strip.caption
    assert strip.caption.endswith("two epochs in a row (IoU): 0.00.")


def side_by_side(tmp_path: Path, tiny_voc: Path, maps: dict[str, list[float]]) -> list[GridRow]:
    """Figure 5 of stores whose maps hold one value each, by its class's place among the tags."""
    train = VocSource(tiny_voc, "train")
    run = Run(tmp_path, "x", tmp_path)
    pairs = pairs_of(train)
    image, category = pairs.pairs.T
    place = np.array([train.labels[i, :c].sum() for i, c in pairs.pairs]).astype(int)
    for method, values in maps.items():
        header = Header(pairs.classes, pairs.fingerprint, grid=(4, 4), fusion="maximum")
        with MemmapStore(run.attention(method) / "store", header, pairs) as store:
            filled = np.array(values, np.float32)[place][:, None, None]
            store.fill(image, category, np.broadcast_to(filled, (len(image), 4, 4)))
            store.commit()
        (run.attention(method) / "done.json").write_text("{}")
    return list(_side_by_side(run, train))


def test_figure_5_shows_each_methods_strongest_class_in_the_papers_order(
    tmp_path: Path, tiny_voc: Path
) -> None:
    maps = {"oaa_plus_mce": [0.2, 0.1], "oaa_plus_hybrid": [0.9, 0.3], "cam": [0.4, 0.6]}
    rows = side_by_side(tmp_path, tiny_voc, maps)
    train = VocSource(tiny_voc, "train")
    for row in rows:
        index = train.ids.index(row.image_id)
        photo, tags = train.photo(index), np.flatnonzero(train.labels[index])
        assert row.tags == [train.classes[c] for c in tags]
        assert [*row.panels] == ["photo", "CAM", "OAA+", "OAA+ MCE", "truth"]
        for title, values in (("CAM", maps["cam"]), ("OAA+", [0.9]), ("OAA+ MCE", [0.2])):
            expected = level(max(values[: len(tags)]), photo)
            np.testing.assert_allclose(row.panels[title], expected, atol=1)
        assert (row.panels["truth"] == label_overlay(photo, train.mask(index))).all()


def test_figure_5_takes_of_each_class_the_first_image_with_the_fewest_tags(
    tmp_path: Path, tiny_voc: Path
) -> None:
    train = VocSource(tiny_voc, "train")
    firsts = []
    for category in range(len(train.classes)):
        having = [i for i in range(len(train.ids)) if train.labels[i, category]]
        if having:
            firsts.append(min(having, key=lambda i: (train.labels[i].sum(), i)))
    expected = [train.ids[i] for i in dict.fromkeys(firsts)]
    assert [
        row.image_id for row in side_by_side(tmp_path, tiny_voc, {"cam": [0.4, 0.6]})
    ] == expected


def test_without_any_maps_there_is_no_figure_5(tmp_path: Path, tiny_voc: Path) -> None:
    assert side_by_side(tmp_path, tiny_voc, {}) == []
