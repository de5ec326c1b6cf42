"""PyTorch's own optimisers and schedules by `_target_`, in every stage, resumed exactly."""

from pathlib import Path

import pytest
import torch
from tests.commands.test_restart import SEED, STAGES, require_equal, run, weights
from tests.commands.tiny import files, oaa, require_refusal, words

ADAM = ("optimizer._target_=torch.optim.Adam", "~optimizer.momentum", "~optimizer.rates")
SGD = ("optimizer._target_=torch.optim.SGD", "~optimizer.rates")
COSINE = ("schedule._target_=torch.optim.lr_scheduler.CosineAnnealingLR",)
POLYNOMIAL = ("schedule._target_=torch.optim.lr_scheduler.PolynomialLR", "+schedule.power=0.9")
ONE_CYCLE = ("schedule._target_=torch.optim.lr_scheduler.OneCycleLR", "+schedule.max_lr=0.02")


def of(stage: str, *overrides: str, steps: bool = True) -> tuple[str, ...]:
    """Overrides of a stage's own part; those of the schedule that ours has are left out."""
    own = ("~schedule.power",) if stage == "segmenter" else ("~schedule.at", "~schedule.factor")
    signs = [(word[0] if word[0] in "+~" else "", word.lstrip("+~")) for word in overrides]
    signs += [("~", word[1:]) for word in own if any("schedule" in word for word in overrides)]
    return tuple(f"{sign}{stage}.{word}" for sign, word in signs)


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        pytest.param(ADAM, (), marks=pytest.mark.slow),  # AdamW is the same and more
        (("optimizer._target_=torch.optim.AdamW", *ADAM[1:], "+optimizer.betas=[0.8,0.9]"), COSINE),
        pytest.param(ADAM, ONE_CYCLE, marks=pytest.mark.slow),
        pytest.param(SGD, ONE_CYCLE, marks=pytest.mark.slow),
        pytest.param((), COSINE, marks=pytest.mark.slow),  # AdamW has it
        pytest.param((), (*COSINE, "+schedule.T_max=${classifier.epochs}"), marks=pytest.mark.slow),
        pytest.param((), POLYNOMIAL, marks=pytest.mark.slow),
    ],
    ids=["adam", "adamw cosine", "adam one-cycle", "sgd one-cycle", "cosine", "given", "poly"],
)
def test_a_class_of_pytorch_trains_and_is_resumed_exactly(
    empty: Path, tiny_voc_once: Path, optimizer: tuple[str, ...], schedule: tuple[str, ...]
) -> None:
    arguments = of("classifier", *optimizer, *schedule)
    said = run("classifier", tiny_voc_once, *arguments)
    assert said.status == 0, said.err
    once = weights("classifier")
    cut = run("classifier", tiny_voc_once, *arguments, "name=cut", "+trainer.max_time={seconds: 0}")
    assert cut.status == 130, cut.err
    said = run("classifier", tiny_voc_once, *arguments, "name=cut")
    assert said.status == 0, said.err
    state = torch.load("runs/cut/seed-0/classifier/last.ckpt", weights_only=True)
    require_equal(once, state["state_dict"])


def test_the_length_of_the_training_is_filled_in(empty: Path, tiny_voc_once: Path) -> None:
    said = run("classifier", tiny_voc_once, *of("classifier", *COSINE))
    assert said.status == 0, said.err
    state = torch.load(SEED / "classifier/last.ckpt", weights_only=True)
    (schedule,) = state["lr_schedulers"]
    assert schedule["T_max"] == 4  # two epochs of two batches
    assert schedule["_last_lr"] == pytest.approx([0.0] * 4, abs=1e-12)


@pytest.mark.parametrize("place", ["integral/hybrid", "segmenter/oaa_max"])
def test_the_other_stages_take_them_too(again: Path, tiny_voc_once: Path, place: str) -> None:
    for path in (SEED / place).iterdir():
        if path.is_file():
            path.unlink()
    stage = place.partition("/")[0]
    said = run(place, tiny_voc_once, *of(stage, *ADAM, *COSINE))
    assert said.status == 0, said.err
    state = torch.load(SEED / place / "last.ckpt", weights_only=True)
    assert "betas" in state["optimizer_states"][0]["param_groups"][0]
    assert place in STAGES


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        (
            ("classifier.optimizer._target_=torch.optim.Adam",),
            ("takes no momentum, rates", "~classifier.optimizer.momentum ~classifier.optimizer.r"),
        ),
        (
            ("classifier.schedule._target_=torch.optim.lr_scheduler.CosineAnnealingLR",),
            ("classifier.schedule: torch.optim", "CosineAnnealingLR takes no at, factor"),
        ),
        (("classifier.optimizer._target_=torch.optim.Adamm",), ("classifier.optimizer: ",)),
        (
            of("classifier", "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"),
            ("ReduceLROnPlateau waits for a metric",),
        ),
        (
            of("classifier", "schedule._target_=torch.optim.lr_scheduler.StepLR"),
            ("StepLR needs step_size; say +classifier.schedule.step_size=...",),
        ),
    ],
    ids=["left over", "left over of a schedule", "unknown", "metric", "missing"],
)
def test_what_a_class_does_not_take_or_lacks_is_refused_before_training(
    empty: Path, tiny_voc_once: Path, overrides: tuple[str, ...], fragments: tuple[str, ...]
) -> None:
    said = oaa("fit", *words(tiny_voc_once), *overrides)
    require_refusal(said, *fragments)
    assert not files(empty)
