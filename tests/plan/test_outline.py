"""The plan of a run says of each stage what is done, and how long the rest will take."""

from pathlib import Path

from tests.plan.test_estimate import stages_of

from oaa_pl.plan.outline import outline
from oaa_pl.plan.quicker import Schedule


def test_each_stage_is_done_continues_or_has_its_time(empty: Path, tiny_voc_once: Path) -> None:
    stages = stages_of(tiny_voc_once, "methods=[cam,oaa_max]")
    home = empty / "runs/tiny/seed-0"
    (home / "classifier").mkdir(parents=True)
    (home / "classifier/done.json").write_text("{}")
    (home / "segmenter/cam").mkdir(parents=True)
    (home / "segmenter/cam/last.ckpt").touch()
    parts = {"attention maps": 30.0, "proxy labels": 20.0, "segmenter cam": 90.0,
             "segmenter oaa_max": 100.0}  # fmt: skip
    first, *lines = outline(stages, Schedule(parts, {}, images=4))
    assert first == "plan: 6 stages, 1 done, about 4 min 00 s"
    states = [line.split("  ")[-1].strip() for line in lines]
    assert states == [
        "done", "to do, about 30 s", "to do, about 10 s", "to do, about 10 s",
        "continues, about 1 min 30 s", "to do, about 1 min 40 s",
    ]  # fmt: skip
    assert lines[1].startswith("  [2/6] attention of cam")


def test_without_a_trial_there_are_no_times(empty: Path, tiny_voc_once: Path) -> None:
    first, *lines = outline(stages_of(tiny_voc_once), None)
    assert first == "plan: 16 stages, 0 done"
    assert all(line.endswith("  to do") for line in lines)
