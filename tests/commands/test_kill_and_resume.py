"""Killed and resumed equals never killed: the same files, the same bytes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.commands.killed import run_until
from tests.commands.tiny import METHODS, files, inside, oaa, surroundings, words

# These name times, paths or processes.
DIFFERENT = {"done.json", "stage.json", "config.yaml", "history.csv", "last.ckpt", "writer.lock"}
DIFFERENT |= {"index.html"}

# The n-th rename to a file of that name, in the order of `oaa reproduce`.
MOMENTS = [
    ("classifier/stage.json", 1),
    ("generations/000001", 1),  # one of two stores committed, no checkpoint yet
    ("classifier/last.ckpt", 1),  # both committed, no checkpoint yet
    ("generations/000002", 2),  # one checkpoint; one of two stores is ahead of it
    ("classifier/last.ckpt", 1),  # the second epoch's: the first one's is there
    ("attention/oaa_max/store/generations/000003", 1),  # while never-accepted pairs are filled
    ("attention/oaa_mean/done.json", 1),
    ("attention/cam/store/generations/000001", 1),
    ("integral/cross_entropy/last.ckpt", 2),
    ("attention/oaa_plus_mce/done.json", 1),
    ("integral/hybrid/last.ckpt", 1),
    ("labels/cam/hard/2007_000002.png", 1),
    ("labels/oaa_plus_hybrid/done.json", 1),
    ("segmenter/oaa_mean/last.ckpt", 2),
    ("segmenter/oaa_plus_hybrid/done.json", 1),
    ("attention/oaa_max/metrics.csv", 1),
    ("predictions/2007_000006.png", 2),
    ("segmenter/oaa_plus_hybrid/scored.json", 1),
    ("runs/tiny/results.csv", 1),
    ("report/index.html", 1),
]


def require_same(folder: Path, finished: Path, stores: int = len(METHODS)) -> None:
    assert files(folder) == files(finished)
    same = [name for name in files(finished) if Path(name).name not in DIFFERENT]
    assert sum(name.endswith("state.npy") for name in same) >= stores
    different = [n for n in same if (folder / n).read_bytes() != (finished / n).read_bytes()]
    assert different == []


def logged(path: Path) -> list[str]:
    """The rows of a history that do not depend on the clock."""
    return [line for line in path.read_text().splitlines() if "images_per_second" not in line]


@pytest.mark.parametrize("stage", ["classifier", "integral/hybrid", "segmenter/cam"])
def test_the_log_of_a_stage_has_no_repeated_row(finished: Path, stage: str) -> None:
    rows = [
        r.rpartition(",")[0] for r in logged(finished / "runs/tiny/seed-0" / stage / "history.csv")
    ]
    assert len(rows) == len(set(rows))


def test_a_training_that_was_killed_ends_with_the_same_files(
    empty: Path, finished: Path, tiny_voc_once: Path
) -> None:
    arguments = ("fit", *words(tiny_voc_once))
    killed = run_until(signal.SIGKILL, "classifier/last.ckpt", 2, empty, *arguments)
    assert killed.status == -signal.SIGKILL, killed.err
    seed = Path("runs/tiny/seed-0")
    assert (empty / seed / "classifier/last.ckpt").is_file()
    assert not (empty / seed / "classifier/done.json").exists()
    with inside(empty):
        said = oaa(*arguments)
    assert said.status == 0, said.err
    # It went on with the second epoch, where it had been stopped.
    assert re.search(r"\rclassifier:  50%\|[^|]*\| 2/4 \[00:00<\?", said.err)
    assert "\rclassifier:   0%" not in said.err
    for stage in ("classifier", "attention/oaa_max", "attention/oaa_mean"):
        require_same(empty / seed / stage, finished / seed / stage, stores="attention" in stage)
    path = seed / "classifier/history.csv"
    assert logged(empty / path) == logged(finished / path)


@pytest.mark.slow
def test_a_run_that_was_killed_and_interrupted_ends_with_the_same_files(
    empty: Path, finished: Path, tiny_voc_once: Path
) -> None:
    arguments = ("reproduce", *words(tiny_voc_once))
    killed = run_until(signal.SIGKILL, "classifier/last.ckpt", 2, empty, *arguments)
    assert killed.status == -signal.SIGKILL, killed.err
    seed = empty / "runs/tiny/seed-0"
    assert (seed / "classifier/last.ckpt").is_file()
    assert not (seed / "classifier/done.json").exists()
    interrupted = run_until(signal.SIGINT, "segmenter/oaa_max/last.ckpt", 2, empty, *arguments)
    assert interrupted.status == 130, interrupted.err
    assert interrupted.err.endswith(
        "\noaa: interrupted; run the same command again to continue from there\n"
    )
    assert "Traceback" not in interrupted.err
    assert not (seed / "segmenter/oaa_max/done.json").exists()
    with inside(empty):
        said = oaa(*arguments)
    assert said.status == 0, said.err
    # It went on with the second epoch, where it had been stopped.
    assert "segmenter oaa_max: 100%" in said.err
    assert re.search(r"\rsegmenter oaa_max:  50%\|[^|]*\| 2/4 \[00:00<\?", said.err)
    assert "\rsegmenter oaa_max:   0%" not in said.err
    require_same(empty, finished)
    for stage in ("classifier", "segmenter/oaa_max"):
        path = f"runs/tiny/seed-0/{stage}/history.csv"
        assert logged(empty / path) == logged(finished / path)


@pytest.mark.slow
def test_a_kill_at_any_moment_of_any_stage_changes_no_file(
    empty: Path, finished: Path, tiny_voc_once: Path
) -> None:
    arguments = ("reproduce", *words(tiny_voc_once))
    for ending, count in MOMENTS:
        killed = run_until(signal.SIGKILL, ending, count, empty, *arguments)
        assert killed.status == -signal.SIGKILL, (ending, killed.err)
    with inside(empty):
        said = oaa(*arguments)
    assert said.status == 0, said.err
    require_same(empty, finished)


@pytest.mark.slow
def test_kills_at_random_times_change_no_file(
    empty: Path, finished: Path, tiny_voc_once: Path
) -> None:
    rng = np.random.default_rng(0)
    command = [sys.executable, "-m", "oaa_pl", "reproduce", *words(tiny_voc_once)]
    kills = 0
    for _ in range(8):
        process = subprocess.Popen(
            command, cwd=empty, env=surroundings(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = files(empty)
        while process.poll() is None and files(empty) == before:
            time.sleep(0.02)  # imports are over once a file has appeared
        time.sleep(rng.uniform(0, 1.5))
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert kills
    with inside(empty):
        said = oaa(*words_of(command))
    assert said.status == 0, said.err
    require_same(empty, finished)


def words_of(command: list[str]) -> list[str]:
    return command[3:]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("ending", "count", "overrides"),
    [
        ("classifier/last.ckpt", 1, ()),
        ("classifier/last.ckpt", 1, ("loader.num_workers=2",)),
        ("store/generations/000003", 1, ()),
        ("attention/oaa_max/scored.json", 1, ()),
    ],
)
def test_an_interruption_leaves_one_line_and_a_run_to_go_on_with(
    empty: Path,
    finished: Path,
    tiny_voc_once: Path,
    number: int,
    ending: str,
    count: int,
    overrides: tuple[str, ...],
) -> None:
    arguments = ("reproduce", *words(tiny_voc_once), *overrides)
    ended = run_until(number, ending, count, empty, *arguments)
    assert ended.status == 130, ended.err
    assert ended.err.endswith(
        "\noaa: interrupted; run the same command again to continue from there\n"
    )
    assert "Traceback" not in ended.err
    with inside(empty):
        said = oaa(*arguments)
    assert said.status == 0, said.err
    require_same(empty, finished)


@pytest.mark.slow
def test_ctrl_c_reaches_the_processes_that_label_as_well(
    empty: Path, finished: Path, tiny_voc_once: Path
) -> None:
    arguments = (*words(tiny_voc_once), "label.workers=2")
    # A shell starts background jobs with SIGINT ignored, and what they start inherits it.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{hear}; import sys; from oaa_pl.commands.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "reproduce", *arguments],
        cwd=empty, env=surroundings(), stderr=subprocess.PIPE, text=True,
        start_new_session=True,  # a terminal sends Ctrl-C to the whole group
    )  # fmt: skip
    while process.poll() is None and not list(empty.rglob("labels/*/stage.json")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    with inside(empty):
        said = oaa("reproduce", *arguments)
    assert said.status == 0, said.err
    require_same(empty, finished)
