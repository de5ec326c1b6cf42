"""Whose maps are read how: the control without attention, the integral model's probabilities."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from tests.commands.tiny import oaa, words

from oaa_pl.proxy.palette import load_label
from oaa_pl.store.reader import StoreReader

SEED = Path("runs/tiny/seed-0")
AS_PROBABILITY = (
    "method=oaa_plus_hybrid",
    "integral.attention={_target_:oaa_pl.attention.cam.probability_attention,_partial_:true}",
)


def test_the_control_attends_to_every_tag_everywhere(again: Path, tiny_voc_once: Path) -> None:
    for command in ("attend", "label"):
        said = oaa(command, *words(tiny_voc_once), "method=tags")
        assert said.status == 0, said.err
    reader = StoreReader(SEED / "attention/tags/store")
    assert reader.state.min() == 1
    assert reader.header.normalisation == "tags"
    for index, name in enumerate(reader.pairs.ids):
        # Full attention to each: the first of the tags wins, the cue's 0.05 of background never.
        first = int(np.flatnonzero(reader.pairs.labels[index])[0]) + 1
        assert (load_label(SEED / f"labels/tags/hard/{name}.png") == first).all()


def test_the_control_is_scored_beside_the_methods(again: Path, tiny_voc_once: Path) -> None:
    said = oaa("reproduce", *words(tiny_voc_once), "methods=[tags]")
    assert said.status == 0, said.err
    table = (again / "runs/tiny/report/table.md").read_text()
    assert "tags alone, no attention" in table


def test_the_maps_of_another_loss_record_that_loss_by_which_a_repair_finds_their_model(
    finished: Path,
) -> None:
    for method, loss in (("oaa_plus_mce", "cross_entropy"), ("oaa_plus_hybrid", "hybrid")):
        cfg = OmegaConf.load(finished / SEED / "attention" / method / "config.yaml")
        assert (cfg.loss.name, cfg.loss.method) == (loss, method)


@pytest.fixture
def as_probability(again: Path, tiny_voc_once: Path) -> Path:
    shutil.rmtree(SEED / "attention/oaa_plus_hybrid")
    said = oaa("attend", *words(tiny_voc_once), *AS_PROBABILITY)
    assert said.status == 0, said.err
    return SEED / "attention/oaa_plus_hybrid/store"


def test_an_integral_models_maps_can_be_its_probabilities(
    finished: Path, as_probability: Path
) -> None:
    relu = StoreReader(finished / SEED / "attention/oaa_plus_hybrid/store")
    probable = StoreReader(as_probability)
    assert relu.header.normalisation == "class_attention"
    assert probable.header.normalisation == "probability_attention"
    assert 0 < probable.state.min() < probable.state.max() < 1
    # What is more likely than not has a positive score near by, before the grid's interpolation.
    assert (relu.state[probable.state > 0.5] > 0).all()
    assert (relu.state == 0).any()


def test_its_rows_are_repaired_in_the_same_reading(as_probability: Path) -> None:
    before = np.array(StoreReader(as_probability).state)
    (state,) = as_probability.glob("generations/*/state.npy")
    damaged = bytearray(state.read_bytes())
    damaged[-3] ^= 64
    state.chmod(0o644)
    state.write_bytes(damaged)
    said = oaa("store", "repair", str(as_probability))
    assert said.status == 0, said.err
    np.testing.assert_array_equal(StoreReader(as_probability).state, before)
