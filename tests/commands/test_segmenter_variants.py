"""Tables 1 and 3: other segmentation networks, and fewer images, on the same proxy labels."""

import csv
import json
import shutil
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


@pytest.mark.slow
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


def test_a_segmenter_of_before_is_not_taken_for_one_with_rates_by_layer(
    again: Path, tiny_voc_once: Path
) -> None:
    made = SEED / "segmenter/oaa_max"
    record = json.loads((made / "stage.json").read_text())
    # An older package's record: the whole head had the last two rates.
    del record["made_from"]["segmenter"]["optimizer"]["fast"]
    (made / "stage.json").write_text(json.dumps(record))
    fit = ("fit", *words(tiny_voc_once), "stage=segmenter", "method=oaa_max")
    said = oaa(*fit, "segmenter.optimizer.fast=last")
    require_refusal(said, "segmenter.optimizer.fast=None, requested 'last'")
    said = oaa(*fit, "segmenter.optimizer.fast=null")
    assert said.status == 0, said.err


def test_the_groups_of_before_are_one_word_away(again: Path, tiny_voc_once: Path) -> None:
    fit = ("fit", *words(tiny_voc_once), "stage=segmenter", "method=oaa_max", "segmenter.epochs=1")
    groups = {}
    for fast in ("null", "last"):
        shutil.rmtree(SEED / "segmenter/oaa_max")
        said = oaa(*fit, f"segmenter.optimizer.fast={fast}")
        assert said.status == 0, said.err
        state = torch.load(SEED / "segmenter/oaa_max/last.ckpt", weights_only=True)
        saved = state["optimizer_states"][0]["param_groups"]
        groups[fast] = {group["name"]: len(group["params"]) for group in saved}
    assert (groups["null"]["head_bias"], groups["null"]["head_weight"]) == (3, 3)
    assert (groups["last"]["head_bias"], groups["last"]["middle_bias"]) == (1, 2)


def test_a_training_from_weights_says_where_fc6_and_fc7_start_from(
    again: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    state = torch.load(SEED / "classifier/last.ckpt", weights_only=True)["state_dict"]
    prefix = "net.trunk."
    trunk = {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
    torch.save(trunk, "trunk.pth")
    shutil.rmtree(SEED / "segmenter/oaa_max")
    fit = ("fit", *words(tiny_voc_once), "stage=segmenter", "method=oaa_max", "segmenter.epochs=1")
    said = oaa(*fit, "segmenter.weights=trunk.pth")
    assert said.status == 0, said.err
    line = "segmenter oaa_max: fc6 and fc7 start from random numbers: of SmallTrunk's weights"
    assert sum(message.startswith(line) for message in caplog.messages) == 1
    caplog.clear()
    shutil.rmtree(SEED / "segmenter/oaa_max")
    assert oaa(*fit).status == 0
    assert not any("fc6" in message for message in caplog.messages), "nothing is pretrained"
