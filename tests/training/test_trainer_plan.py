"""What a run says of its trainings, and what of it tells two stages apart."""

import pytest
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor

from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError
from oaa_pl.training.trainer_plan import TrainerPlan


def test_one_process_on_the_cpu_says_nothing_in_a_record() -> None:
    plan = TrainerPlan()
    assert (plan.key, plan.processes, plan.precision) == ({}, 1, "32-true")


def test_a_callback_that_may_change_the_training_is_part_of_the_key() -> None:
    stop = Recipe.of(EarlyStopping, monitor="train/loss")
    plan = TrainerPlan(callbacks={"stop": stop, "rates": Recipe.of(LearningRateMonitor)})
    assert plan.key == {"trainer": {"callbacks": [stop.key]}}


def test_changed_settings_leave_the_plan_alone() -> None:
    plan = TrainerPlan()
    assert plan.changed(precision="64-true", devices=2).processes == 2
    assert plan == TrainerPlan()


@pytest.mark.parametrize("settings", [None, {}, {"accelerator": "cpu"}, "cpu"])
def test_settings_that_name_no_trainer_are_refused(settings: object) -> None:
    with pytest.raises(ConfigError, match=r"trainer must be a mapping with a _target_.*trainer="):
        TrainerPlan(settings=settings)  # type: ignore[arg-type]
