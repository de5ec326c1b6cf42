"""`-m`: one job per combination, each in a folder of its own, told apart in the results."""

import csv
import json
import logging
from pathlib import Path
from typing import ClassVar

import pytest
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tests.commands.tiny import Said, files, inside, oaa, words

from oaa_pl.runs.folders import Run
from oaa_pl.runs.named import run_of

SWEEP = ("integral.optimizer.lr=0.0001,0.0002", "seed=0,1", "-m")
PLACES = [f"integral.optimizer.lr={lr}/seed-{seed}" for lr in (0.0001, 0.0002) for seed in (0, 1)]
FUSIONS = ("fusion=maximum,running_mean", "-m")


@pytest.fixture(scope="module")
def swept(tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Said]]:
    """A folder in which a sweep was trained, scored and shown."""
    folder = tmp_path_factory.mktemp("sweep")
    with inside(folder):
        said = [oaa(name, *words(tiny_voc_once), *SWEEP) for name in ("fit", "evaluate", "report")]
    assert [one.status for one in said] == [0, 0, 0], said
    return folder / "runs/tiny", said


def test_every_job_has_a_folder_of_its_own(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    found = {path.parent.parent.relative_to(home).as_posix() for path in home.rglob("last.ckpt")}
    assert found == set(PLACES)


def test_what_jobs_share_is_made_once_and_copied(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    checkpoints = [(home / place / "classifier/last.ckpt").read_bytes() for place in PLACES]
    assert checkpoints[0] == checkpoints[2]
    assert checkpoints[1] == checkpoints[3]
    assert checkpoints[0] != checkpoints[1]
    done = [json.loads((home / place / "classifier/done.json").read_text()) for place in PLACES]
    assert ["copied_from" in one for one in done] == [False, False, True, True]
    for place in PLACES:
        stores = {path.parent.name for path in (home / place / "attention").glob("*/done.json")}
        assert stores == {"oaa_max", "oaa_mean"}


def test_the_results_tell_the_jobs_apart(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    with (home / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["experiment"], row["seed"]) for row in rows}
    assert found == {
        (f"tiny[integral.optimizer.lr={lr}]", seed)
        for lr in ("0.0001", "0.0002")
        for seed in ("0", "1")
    }


def test_one_training_feeds_all_fusions_of_a_sweep(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        said = oaa("fit", *words(tiny_voc_once), *FUSIONS)
    assert said.status == 0, said.err
    assert "sweep: classifier: 1 made, 1 shared" in caplog.text
    home = empty / "runs/tiny"
    assert [path.name for path in home.iterdir() if path.is_dir()] == ["seed-0"]
    stores = {path.name for path in (home / "seed-0/attention").iterdir()}
    assert stores == {"oaa_max", "oaa_mean"}
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert oaa("fit", *words(tiny_voc_once), *FUSIONS).status == 0
    assert "sweep: classifier: 2 there before" in caplog.text


def test_a_sweep_of_an_older_package_keeps_a_folder_for_each_fusion(
    empty: Path, tiny_voc_once: Path
) -> None:
    older = empty / "runs/tiny/fusion=maximum"
    older.mkdir(parents=True)
    said = oaa("fit", *words(tiny_voc_once), "fusion=maximum,running_mean", "-m")
    assert said.status == 0, said.err
    assert [path.name for path in (older / "seed-0/attention").iterdir()] == ["oaa_max"]
    other = empty / "runs/tiny/fusion=running_mean/seed-0/attention"
    assert [path.name for path in other.iterdir()] == ["oaa_mean"]


def test_nine_swept_keys_make_a_short_stable_folder_with_the_full_set_recorded(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [
        f"{part}.optimizer.{key}=choice({value})"
        for part in ("classifier", "integral", "segmenter")
        for key, value in (("lr", 0.0123456789), ("momentum", 0.875), ("weight_decay", 0.000122))
    ]
    line = [word for word in words(tiny_voc_once) if ".optimizer.lr" not in word]
    said = oaa("fit", *line, "seed=3", *keys, "-m")
    assert said.status == 0, said.err
    runs: list[Run] = []
    monkeypatch.setattr("oaa_pl.commands.fit.run", lambda cfg: runs.append(run_of(cfg)))
    assert oaa("fit", *line, "seed=3", *keys[::-1], "-m").status == 0
    (run,) = runs
    assert (run.classifier / "done.json").is_file()
    folder = run.root.parent
    assert len(folder.name) <= 100
    assert folder.name.startswith("classifier.optimizer.lr=0.0123456789,")
    variant = ",".join(sorted(key.replace("choice(", "").strip(")") for key in keys))
    assert (folder / "variant.txt").read_text() == f"{variant}\n"
    assert run.experiment == f"tiny[{variant}]"


def test_every_variant_has_a_page_of_its_own(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    pages = [name for name in files(home) if name.endswith("index.html")]
    variants = [f"integral.optimizer.lr={lr}" for lr in ("0.0001", "0.0002")]
    assert sorted(pages) == [f"{variant}/report/index.html" for variant in variants]
    assert f"tiny[{variants[1]}]" in (home / variants[1] / "report/index.html").read_text()


@pytest.mark.slow
def test_one_seed_more_leaves_the_others_alone(
    swept: tuple[Path, list[Said]], tiny_voc_once: Path
) -> None:
    home, _ = swept
    before = {place: (home / place / "classifier/last.ckpt").stat().st_mtime_ns for place in PLACES}
    with inside(home.parents[1]):
        said = oaa("fit", *words(tiny_voc_once), SWEEP[0], "seed=1,2", "-m")
    assert said.status == 0, said.err
    assert (home / "integral.optimizer.lr=0.0001/seed-2/classifier/done.json").is_file()
    after = {place: (home / place / "classifier/last.ckpt").stat().st_mtime_ns for place in PLACES}
    assert after == before


def test_every_job_runs_and_the_failed_ones_are_named_at_once_and_at_the_end(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = oaa("fit", *words(tiny_voc_once), "classifier.batch_size=0,-1,2", "-m")
    assert said.status == 2
    reason = "batch_size must be 1 or more"
    assert said.last.startswith("oaa: 2 jobs of this sweep failed: #0 classifier.batch_size=0: ")
    assert f"; #1 classifier.batch_size=-1: {reason}" in said.last
    failed = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert [f"#{number}" in line and reason in line for number, line in enumerate(failed)] == [
        True, True,
    ]  # fmt: skip
    assert len(list(empty.rglob("last.ckpt"))) == 1
    again = oaa("fit", *words(tiny_voc_once), "classifier.batch_size=2,3", "-m")
    assert again.status == 0, again.err


def test_a_defect_in_one_job_is_status_1_and_keeps_its_traceback(
    empty: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def defect(cfg: DictConfig) -> None:
        seen.append(cfg.seed)
        if cfg.seed == 0:
            raise ZeroDivisionError("a defect")

    monkeypatch.setattr("oaa_pl.commands.fit.run", defect)
    said = oaa("fit", "seed=0,1", "-m")
    assert (said.status, seen) == (1, [0, 1])
    assert "#0 seed=0: ZeroDivisionError('a defect')" in said.last
    assert "Traceback" in caplog.text


def test_what_a_job_returns_reaches_the_sweeper(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaa_pl.commands.fit.run", lambda cfg: 10.0 + cfg.seed)
    callback = f"+hydra.callbacks.kept={{_target_: {__name__}.Kept}}"
    Kept.values.clear()
    assert oaa("fit", "seed=0,1", callback, "-m").status == 0
    assert Kept.values == [10.0, 11.0]


class Kept(Callback):
    """Sees what Hydra gives to its sweeper."""

    values: ClassVar[list[object]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        self.values.append(job_return.return_value)


def test_seeds_alone_lie_side_by_side_and_meet_in_one_page(
    again: Path, tiny_voc_once: Path
) -> None:
    # Seed 0 is there already.
    said = oaa("reproduce", *words(tiny_voc_once), "methods=[cam]", "seed=0,1", "-m")
    assert said.status == 0, said.err
    home = again / "runs/tiny"
    assert sorted(path.name for path in home.glob("seed-*")) == ["seed-0", "seed-1"]
    assert "±" in (home / "report/index.html").read_text()
