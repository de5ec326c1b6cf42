"""A run's time is told before it starts, and telling it changes nothing."""

import logging
import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from tests.commands.tiny import files, oaa, words

from oaa_pl.config.compose import register
from oaa_pl.errors import RunMismatchError
from oaa_pl.files.installed import root_of
from oaa_pl.plan import estimate, quicker, trial
from oaa_pl.plan.command_line import CommandLine
from oaa_pl.plan.trial import Pace
from oaa_pl.report.page import duration
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained_stage import TrainedStage
from oaa_pl.store.reader import StoreReader
from oaa_pl.training.trainer_plan import TrainerPlan

# As `oaa` itself does: advice about loader workers and logging intervals, and a loader of
# validation photos that not every stage asks for.
pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning_fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`"),
]


def run_of(root: Path, *more: str) -> tuple[list[Stage], CommandLine]:
    """Stages and command line of `oaa reproduce`."""
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        pipeline = Pipeline(compose("config", [*words(root), *more]))
    return pipeline.stages(), CommandLine.of(pipeline.parts.values)


def stages_of(root: Path, *more: str) -> list[Stage]:
    return run_of(root, *more)[0]


def proposed(
    stages: list[Stage], line: CommandLine, schedule: quicker.Schedule
) -> list[quicker.Proposal]:
    return list(quicker.proposals(estimate.trainings_of(stages), line, schedule))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name.startswith(estimate.__name__)]


@pytest.fixture
def paces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every step takes 2 s, and waits half a second for its photos; which stages were tried."""
    tried: list[str] = []

    def known(stage: TrainedStage, trainer: TrainerPlan, what: str) -> Pace:
        tried.append(what)
        return Pace(computing=2.0, loading=0.5)

    monkeypatch.setattr(estimate, "time_steps", known)
    return tried


@pytest.mark.slow
def test_a_run_that_was_estimated_is_the_run_that_was_not(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "_WORTH_SAYING", 0.0)
    plain = [word for word in words(tiny_voc_once) if word != "estimate=false"]
    for name, key in (("without", "false"), ("with", "true")):
        said = oaa(
            "reproduce", *plain, f"estimate={key}", f"runs={name}", "methods=[oaa_plus_hybrid]"
        )
        assert said.status == 0, said.err
    runs = [empty / name / "tiny/seed-0" for name in ("without", "with")]
    for stage in ("classifier", "integral/hybrid", "segmenter/oaa_plus_hybrid"):
        one, other = (
            torch.load(run / stage / "last.ckpt", weights_only=True)["state_dict"] for run in runs
        )
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), stage
    stores = [StoreReader(run / "attention/oaa_max/store") for run in runs]
    for index in range(4):
        maps = [store.maps(index).attention for store in stores]
        np.testing.assert_array_equal(*maps)


def test_a_trial_touches_no_file_and_no_random_generator(empty: Path, tiny_voc_once: Path) -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    for generator in (random.seed, np.random.seed, torch.manual_seed):
        generator(3)
    undisturbed = drawn()
    for generator in (random.seed, np.random.seed, torch.manual_seed):
        generator(3)
    schedule = estimate.estimated(stages_of(tiny_voc_once))
    assert drawn() == undisturbed
    assert not files(empty)
    assert schedule.paces.keys() == {"classifier", "integral", "segmenter"}
    assert all(pace.computing > 0 and pace.loading > 0 for pace in schedule.paces.values())


def test_the_time_is_steps_times_the_trial_s_step(
    empty: Path, tiny_voc_once: Path, paces: list[str]
) -> None:
    stages = stages_of(tiny_voc_once, "classifier.validate_every=null", "integral.epochs=null",
                       "integral.steps=7")  # fmt: skip
    parts = estimate.estimated(stages).parts
    # Four photos in batches of two, two epochs: four steps of 2.5 s.
    assert parts["classifier"] == pytest.approx(10)
    assert parts["integral hybrid"] == parts["integral cross_entropy"] == pytest.approx(17.5)
    assert parts["segmenter cam"] == parts["segmenter oaa_plus_hybrid"] == pytest.approx(10)
    assert paces == ["classifier", "integral model", "segmenter"]


def test_what_is_finished_costs_nothing_and_is_not_tried(
    again: Path, tiny_voc_once: Path, paces: list[str]
) -> None:
    stages = stages_of(tiny_voc_once)
    assert estimate.estimated(stages).seconds == 0
    assert paces == []
    (again / "runs/tiny/seed-0/segmenter/cam/done.json").unlink()
    parts = estimate.estimated(stages).parts
    assert parts["segmenter cam"] == pytest.approx(10)
    assert paces == ["segmenter"]


def test_a_short_run_starts_with_its_plan_alone(
    empty: Path, tiny_voc_once: Path, paces: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        estimate.announce(*run_of(tiny_voc_once, "estimate=true"))
    timing, plan, *stages = told(caplog)
    assert timing == "timing ten steps of each training; estimate=false starts without"
    assert plan.startswith("plan: 16 stages, 0 done, about ")
    assert len(stages) == 16
    assert paces


def test_who_does_not_want_to_know_does_not_wait(
    empty: Path, tiny_voc_once: Path, paces: list[str]
) -> None:
    estimate.announce(*run_of(tiny_voc_once, "estimate=false"))
    assert paces == []


def test_a_long_run_is_told_with_what_would_be_quicker(
    empty: Path, tiny_voc_once: Path, paces: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    more = ("estimate=true", "classifier.epochs=200", "data.input_size=224")
    stages, line = run_of(tiny_voc_once, *more)
    with caplog.at_level(logging.INFO):
        estimate.announce(stages, line)
    lines = told(caplog)
    (total,) = (line for line in lines if line.startswith("about "))
    assert total.startswith(f"about {duration(estimate.estimated(stages).seconds)}")
    assert "classifier 16 min 40 s" in total  # 400 steps, and validation
    assert sum(line.strip().startswith("oaa reproduce") for line in lines) >= 1


def test_each_proposal_is_quicker_than_the_one_before_and_than_the_run(
    empty: Path, tiny_voc_once: Path
) -> None:
    stages, line = run_of(tiny_voc_once, "data.input_size=224", "classifier.epochs=15",
                          "segmenter.epochs=15", "data.crop_size=321")  # fmt: skip
    parts = {"classifier": 1000.0, "integral hybrid": 500.0, "segmenter cam": 1500.0}
    pace = Pace(1.0, 0.25)
    schedule = quicker.Schedule(
        parts, dict.fromkeys(("classifier", "integral", "segmenter"), pace), images=10_000
    )
    found = proposed(stages, line, schedule)
    times = [schedule.seconds, *(one.seconds for one in found)]
    assert times == sorted(times, reverse=True)
    # From 224 to 160 px the computing of a step shrinks with the pixels, the loading does not; a
    # third of the epochs, but the integral model has two; the crop of this data cannot shrink.
    step = ((160 / 224) ** 2 + 0.25) / 1.25
    expected = 1000 / 3 * step + 500 * step + 1500 / 3
    assert found[-1].seconds == pytest.approx(expected)


def test_no_proposal_of_few_photos_leaves_too_few_steps(empty: Path, tiny_voc_once: Path) -> None:
    stages, line = run_of(tiny_voc_once, "data.input_size=224", "classifier.epochs=900")
    schedule = quicker.Schedule({"classifier": 1000.0}, {"classifier": Pace(1.0, 0.0)}, images=50)
    quickest = shlex.split(proposed(stages, line, schedule)[-1].command)
    # 25 batches of two an epoch: 1,320 steps in 53 epochs. The segmenter's two epochs stay as said.
    assert "classifier.epochs=53" in quickest
    assert not any(word.startswith("segmenter.epochs") for word in quickest)


@pytest.mark.parametrize(("head", "epochs"), [("frozen_head", 100), ("tuned_head", 58)])
def test_a_proposal_names_the_recipe_that_is_used(
    empty: Path, tiny_voc_once: Path, head: str, epochs: int
) -> None:
    own = [word for word in words(tiny_voc_once) if not word.startswith("segmenter.")]
    long = f"segmenter.{head}.epochs=900"
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        pipeline = Pipeline(compose("config", [*own, f"segmenter={head}", long]))
    stages, line = pipeline.stages(), CommandLine.of(pipeline.parts.values)
    schedule = quicker.Schedule({"segmenter cam": 1e4}, {"segmenter": Pace(1.0, 0.0)}, images=50)
    quickest = proposed(stages, line, schedule)[-1]
    # 400 steps, in epochs of 4 batches of 16 or of 7 batches of 8.
    assert f"segmenter.{head}.epochs={epochs}" in shlex.split(quickest.command)
    assert quickest.seconds < 2e3


@pytest.mark.parametrize(
    ("segmenter", "sides"),
    [("paper", {"data.crop_size", "data.segmenter_side"}), ("frozen_head", set())],
)
def test_a_proposal_has_smaller_crops_only_where_photos_are_cropped(
    empty: Path, segmenter: str, sides: set[str]
) -> None:
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", [
            "experiment=photos", "net=small", f"segmenter={segmenter}", "data.root=x",
            "data.tag_file=y",
        ])  # fmt: skip
    pipeline = Pipeline(cfg)
    trainings = {
        "classifier": pipeline.classifier(), "segmenter": pipeline.segmenter("oaa_max"),
    }  # fmt: skip
    schedule = quicker.Schedule({"classifier": 1e4}, {"classifier": Pace(1.0, 0.0)}, images=500)
    line = CommandLine.of(pipeline.parts.values)
    found = [*quicker.proposals(trainings, line, schedule)]
    assert found
    for one in found:
        named = {word.partition("=")[0] for word in shlex.split(one.command)}
        assert "data.input_size" in named
        assert named & {"data.crop_size", "data.segmenter_side"} == sides


def test_every_proposal_has_a_name_of_its_own(empty: Path, tiny_voc_once: Path) -> None:
    """Whoever stops a run behind its first checkpoint may start a proposal, and then the other."""
    stages, line = run_of(tiny_voc_once, "data.input_size=224", "classifier.epochs=15")
    schedule = quicker.Schedule({"classifier": 1000.0}, {"classifier": Pace(1.0, 0.0)}, 10_000)
    commands = [
        shlex.split(one.command)
        for one in quicker.proposals(estimate.trainings_of(stages), line, schedule)
    ]
    assert [[word for word in command if word.startswith("name=")] for command in commands] == [
        ["name=tiny-quicker"], ["name=tiny-quickest"],
    ]  # fmt: skip


def test_a_folder_of_another_run_is_refused_before_anything_is_timed(
    again: Path, tiny_voc_once: Path, paces: list[str]
) -> None:
    stages = stages_of(tiny_voc_once, "classifier.epochs=3")
    with pytest.raises(RunMismatchError, match=r"was made with classifier\.epochs=2"):
        estimate.estimated(stages)
    assert paces == []


def test_a_slow_machine_is_not_kept_waiting(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_SECONDS", 0.0)
    counted = []
    pace = trial._StopWatch.pace

    def counting(self: trial._StopWatch) -> Pace:
        counted.append(len(self.steps))
        return pace.fget(self)  # type: ignore[attr-defined, no-any-return]  # a property's function

    monkeypatch.setattr(trial._StopWatch, "pace", property(counting))
    estimate.estimated(stages_of(tiny_voc_once, "methods=[oaa_max]"))
    assert counted == [2, 2]


def test_other_processes_of_a_job_do_not_repeat_it(
    empty: Path, tiny_voc_once: Path, paces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    estimate.announce(*run_of(tiny_voc_once, "estimate=true"))
    assert paces == []


def test_the_printed_command_is_one_that_can_be_typed(
    empty: Path, tiny_voc_once: Path, paces: list[str], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Typed into a shell, it composes; and what it changes stands once."""
    monkeypatch.setattr(estimate, "_WORTH_SAYING", 0.0)
    monkeypatch.setattr("oaa_pl.stages.classifier.ClassifierStage.run", lambda *_, **__: 1 / 0)
    plain = [
        word
        for word in words(tiny_voc_once)
        if not re.match("estimate|data.input_size|segmenter.ep", word)
    ]
    with caplog.at_level(logging.INFO), pytest.raises(ZeroDivisionError, match="by zero"):
        oaa("reproduce", *plain, "data.input_size=224", "methods=[oaa_max]", "segmenter.epochs=1")
    commands = [line.strip() for line in told(caplog) if line.strip().startswith("oaa ")]
    typed = shlex.split(commands[-1])[2:]
    keys = [word.partition("=")[0] for word in typed]
    assert sorted(set(keys)) == sorted(keys)
    assert "data.input_size=160" in typed
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        assert compose("config", typed).data.input_size == 160
