"""The full-size experiments, dry: `make reproduce DATA=voc12`, Tables 1 and 3, on six drawn photos.

Only sizes and lengths are reduced; networks, transforms, the cue, and the evaluation (photos at
their own size, five scales, mirrored) are those of `experiment=voc12`.
"""

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.commands.tiny import METHODS, files, surroundings
from tests.conftest import TINY, TINY_SPLITS, save_tiny_voc

from oaa_pl.data.images import read_mask
from oaa_pl.metrics import SegmentationScore
from oaa_pl.nets.resnet import ResNetTrunk

ROOT = Path(__file__).parents[2]

SMALLER = (
    "trainer=cpu loader.num_workers=1 label.workers=1 report.images=2 data.input_size=64 "
    "data.crop_size=65 classifier.steps=4 classifier.batch_size=2 integral.steps=2 "
    "integral.batch_size=2 segmenter.steps=2 segmenter.batch_size=2"
)


def full_size_folder(root: Path) -> Path:
    """The tiny VOC folder as the archive and `oaa data` leave it, with saliency maps."""
    voc = save_tiny_voc(root / "VOCdevkit" / "VOC2012")
    (voc / "SegmentationClass").rename(voc / "SegmentationClassAug")
    lists = voc / "ImageSets" / "Segmentation"
    (lists / "train.txt").rename(lists / "train_aug.txt")
    (root / "Saliency").mkdir()
    for name in TINY_SPLITS["train"]:
        mask = read_mask(voc / "SegmentationClassAug" / f"{name}.png")
        objects = np.where((mask > 0) & (mask < 255), 255, 0).astype(np.uint8)
        Image.fromarray(objects).save(root / "Saliency" / f"{name}.png")
    return voc


def make_reproduce(folder: Path, arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run the Makefile's own recipe with this Python in place of one that it would install."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "oaa").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m oaa_pl "$@"\n')
    (tools / "oaa").chmod(0o755)
    (tools / "stamp").touch()
    words = [f"BIN={tools}", f"STAMP={tools / 'stamp'}"]
    words += [f"{name}={value}" for name, value in variables.items()]
    environment = {name: text for name, text in surroundings().items() if "MAKE" not in name}
    return subprocess.run(
        ["make", "--no-print-directory", "reproduce", *words, f"ARGS={arguments}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def tame_resnet(path: Path) -> Path:
    """Weights of a ResNet-101: with frozen statistics, random ones grow from block to block."""
    torch.manual_seed(0)
    state = ResNetTrunk(depth=101, weights="none", freeze=0, freeze_norm=True).state_dict()
    for name, value in state.items():
        if name.endswith(("bn3.weight", "norm3.weight")):
            value.mul_(0.1)
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


class Dry:
    """One run of the whole experiment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "VOC, it's here"
        self.voc = full_size_folder(self.data)
        self.runs = folder / "runs"
        saliency = f""" 'data.saliency="{self.data}/Saliency"'""".replace("it's", "it'\\''s")
        self.arguments = f"{SMALLER} net.weights=none runs={self.runs}{saliency}"
        self.said = self.again()

    def again(self, *more: str, data: str = "voc12") -> subprocess.CompletedProcess:
        words = " ".join((self.arguments, *more))
        return make_reproduce(self.folder, words, DATA=data, DATA_DIR=str(self.data))

    def rows(self) -> list[dict[str, str]]:
        with (self.runs / "voc12/results.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def parameters(self, segmenter: str) -> int:
        last = self.runs / f"voc12/seed-0/segmenter/{segmenter}/last.ckpt"
        state = torch.load(last, map_location="cpu", weights_only=True)["state_dict"]
        return sum(value.numel() for value in state.values())


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dry]:
    folder = tmp_path_factory.mktemp("dry")
    yield Dry(folder)
    shutil.rmtree(folder)  # gigabytes of checkpoints


@pytest.mark.slow
class TestDryRun:
    def test_one_command_goes_from_nothing_to_the_report(self, dry: Dry) -> None:
        assert dry.said.returncode == 0, dry.said.stderr
        assert "train_aug has 4 ids, not the 10582 of the published list" in dry.said.stderr
        assert "<svg" in (dry.runs / "voc12/report/index.html").read_text()

    def test_every_method_has_every_score(self, dry: Dry) -> None:
        stages = {(row["stage"], row["method"]) for row in dry.rows()}
        scored = {(stage, m) for stage in ("attention", "labels", "segmenter") for m in METHODS}
        assert stages == {("classifier", ""), *scored}
        assert all(0 <= float(row["value"]) <= 100 for row in dry.rows())
        found = {(row["dataset"], row["stage"], row["split"]) for row in dry.rows()}
        assert found == {
            ("voc12", "classifier", "val"), ("voc12", "attention", "train_aug"),
            ("voc12", "labels", "train_aug"), ("voc12", "segmenter", "val"),
        }  # fmt: skip

    def test_tags_and_truth_come_from_the_augmented_masks(self, dry: Dry) -> None:
        labels = dry.runs / "voc12/seed-0/labels/cam/hard"
        for name in TINY_SPLITS["train"]:
            made = set(np.unique(read_mask(labels / f"{name}.png"))) - {0}
            assert made <= set(TINY[name][1])

    def test_predictions_have_the_photos_own_size_and_the_score_is_theirs(self, dry: Dry) -> None:
        for method in METHODS:
            folder = dry.runs / "voc12/seed-0/segmenter" / method / "predictions"
            score = SegmentationScore(21)
            for name in TINY_SPLITS["val"]:
                truth = read_mask(dry.voc / "SegmentationClassAug" / f"{name}.png")
                predicted = read_mask(folder / f"{name}.png")
                assert predicted.shape == TINY[name][0]
                score.update(torch.from_numpy(predicted), torch.from_numpy(truth))
            (row,) = [
                row for row in dry.rows() if row["stage"] == "segmenter" and row["method"] == method
            ]
            assert float(row["value"]) == pytest.approx(
                100 * float(score.compute()["miou"]), abs=1e-4
            )

    def test_the_network_is_the_full_size_one(self, dry: Dry) -> None:
        assert dry.parameters("cam") > 20e6

    def test_a_finished_run_needs_no_saliency_and_is_left_alone(self, dry: Dry) -> None:
        (dry.data / "Saliency").rename(dry.data / "moved")
        before = {n: (dry.runs / n).stat().st_mtime_ns for n in files(dry.runs) if "seed" in n}
        said = dry.again()
        (dry.data / "moved").rename(dry.data / "Saliency")
        assert said.returncode == 0, said.stderr
        assert before == {n: (dry.runs / n).stat().st_mtime_ns for n in before}

    def test_table_1_trains_a_resnet_101_on_the_same_labels(self, dry: Dry) -> None:
        weights = tame_resnet(dry.folder / "resnet101.safetensors")
        # A stand-in for the dense CRF, which is an extra.
        crf = "crf=none crf._target_=tests.stages.test_scores.backwards"
        chosen = f"segmenter.net=resnet101 segmenter.weights={weights} {crf}"
        table_2 = dry.rows()
        made = dry.runs / "voc12/seed-0"
        before = (made / "classifier/done.json").stat().st_mtime_ns
        said = dry.again(chosen, data="table1_voc12")
        assert said.returncode == 0, said.stderr
        assert (made / "classifier/done.json").stat().st_mtime_ns == before
        assert dry.parameters("oaa_plus_hybrid-resnet101") > 42e6
        scored = {row["method"] for row in dry.rows() if row["stage"] == "segmenter"}
        assert scored == {*METHODS, "oaa_max-resnet101-crf", "oaa_plus_hybrid-resnet101-crf"}
        assert [row for row in dry.rows() if row in table_2] == table_2

    def test_table_3_trains_on_shares_of_the_same_labels(self, dry: Dry) -> None:
        said = dry.again("-m segmenter.fraction=0.5,1.0", data="table3_voc12")
        assert said.returncode == 0, said.stderr
        scored = {row["method"] for row in dry.rows() if row["stage"] == "segmenter"}
        assert {"oaa_plus_hybrid", "oaa_plus_hybrid-50pc"} <= scored


@pytest.mark.slow
def test_the_command_without_saliency_ends_before_training(tmp_path: Path) -> None:
    full_size_folder(tmp_path / "voc")
    (tmp_path / "runs").mkdir()
    arguments = f"trainer=cpu net.weights=none runs={tmp_path / 'runs'}"
    said = make_reproduce(tmp_path, arguments, DATA="voc12", DATA_DIR=str(tmp_path / "voc"))
    assert said.returncode != 0
    last = [line for line in said.stderr.splitlines() if line.startswith("oaa: ")]
    assert len(last) == 1
    assert "data.saliency=<folder>, or use background=boundary" in last[0]
    assert files(tmp_path / "runs") == set()
