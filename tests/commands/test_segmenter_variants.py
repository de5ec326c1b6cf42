"""Tables 1 and 3: other segmentation networks, and fewer images, on the same proxy labels."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.tiny import oaa, require_refusal, words

SEED = Path("runs/tiny/seed-0")
ONE = "methods=[oaa_max]"


def shapes(checkpoint: Path) -> dict[str, tuple[int, ...]]:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    return {name: tuple(value.shape) for name, value in state.items()}


def scores(folder: Path) -> dict[str, float]:
    with (folder / "runs/tiny/results.csv").open(newline="") as file:
        return {
            row["method"]: float(row["value"])
            for row in csv.DictReader(file)
            if row["metric"] == "segmentation/miou"
        }


def test_another_network_is_trained_on_the_same_labels(again: Path, tiny_voc_once: Path) -> None:
    before = scores(again)
    other = ("segmenter.net=vgg16", "segmenter.weights=none", "segmenter.init=net", ONE)
    said = oaa("reproduce", *words(tiny_voc_once), *other)
    assert said.status == 0, said.err
    made = SEED / "segmenter/oaa_max-vgg16"
    assert shapes(made / "last.ckpt")["net.trunk.features.0.weight"] == (64, 3, 3, 3)
    assert not list(SEED.glob("labels/*-*")), "the labels are those of the run"
    assert set(scores(again)) == {*before, "oaa_max-vgg16"}
    assert {method: scores(again)[method] for method in before} == before

    photos = again / "photos"
    photos.mkdir()
    Image.fromarray(np.full((40, 56, 3), 90, np.uint8)).save(photos / "a.jpg")
    checkpoint = f"predict.checkpoint={made / 'last.ckpt'}"
    said = oaa("predict", f"predict.photos={photos}", checkpoint)
    assert said.status == 0, said.err


def test_a_network_cannot_take_the_trunk_of_another(again: Path, tiny_voc_once: Path) -> None:
    other = ("segmenter.net=vgg16", "segmenter.init=classifier_trunk")
    said = oaa("fit", *words(tiny_voc_once), *other, "stage=segmenter", "method=oaa_max")
    require_refusal(said, "segmenter.net=vgg16 cannot take", "say segmenter.init=net")
    assert not (SEED / "segmenter/oaa_max-vgg16").exists()


def test_an_unknown_network_is_refused(again: Path, tiny_voc_once: Path) -> None:
    other = ("stage=segmenter", "method=oaa_max", "segmenter.net=vgg17", "segmenter.init=net")
    require_refusal(oaa("fit", *words(tiny_voc_once), *other), "net must be one of", "got 'vgg17'")


def test_a_sweep_over_shares_uses_one_runs_labels(again: Path, tiny_voc_once: Path) -> None:
    before = (SEED / "classifier/done.json").stat().st_mtime_ns
    said = oaa("reproduce", *words(tiny_voc_once), ONE, "-m", "segmenter.fraction=0.5,1.0")
    assert said.status == 0, said.err
    assert (SEED / "classifier/done.json").stat().st_mtime_ns == before
    assert {"oaa_max", "oaa_max-50pc"} < set(scores(again))

    def data(method: str) -> str:
        stage = json.loads((SEED / "segmenter" / method / "stage.json").read_text())
        return str(stage["made_from"]["data"])

    assert data("oaa_max-50pc") != data("oaa_max")


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_share_out_of_range_is_refused(again: Path, tiny_voc_once: Path, share: str) -> None:
    chosen = ("stage=segmenter", "method=oaa_max", f"segmenter.fraction={share}")
    require_refusal(oaa("fit", *words(tiny_voc_once), *chosen), "fraction must be above 0")
