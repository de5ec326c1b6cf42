"""The plan of a run: its stages in order, what is done, how long the others will take."""

from collections.abc import Iterator, Sequence

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.plan.quicker import Schedule
from oaa_pl.report.page import duration
from oaa_pl.stages.attention import AttentionStage
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained_stage import TrainedStage

__all__ = ["outline"]


def outline(stages: Sequence[Stage], schedule: Schedule | None) -> Iterator[str]:
    """A line for the run, and one for each stage.

    Args:
        stages: of the run, in order.
        schedule: its expected time; None: nothing was timed.
    """
    done = sum(stage.finished for stage in stages)
    total = f", about {duration(schedule.seconds)}" if schedule and schedule.seconds >= 1 else ""
    yield f"plan: {len(stages)} stages, {done} done{total}"
    width = max(len(stage.title) for stage in stages)
    for number, stage in enumerate(stages, 1):
        seconds = None if schedule is None else _seconds(stage, stages, schedule)
        about = "" if seconds is None else f", about {duration(seconds)}"
        state = "done" if stage.finished else f"{_state(stage)}{about}"
        yield f"  [{number}/{len(stages)}] {stage.title:<{width}}  {state}"


def _state(stage: Stage) -> str:
    return "continues" if (stage.folder / LAST).is_file() else "to do"


def _seconds(stage: Stage, stages: Sequence[Stage], schedule: Schedule) -> float | None:
    """Expected seconds of a stage; None if they are not known."""
    if isinstance(stage, TrainedStage):
        return schedule.parts.get(stage.name)
    for kind, part in ((AttentionStage, "attention maps"), (LabelStage, "proxy labels")):
        if isinstance(stage, kind) and part in schedule.parts:
            among = sum(isinstance(one, kind) and not one.finished for one in stages)
            return schedule.parts[part] / max(1, among)
    return None
