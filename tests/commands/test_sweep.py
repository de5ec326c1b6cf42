"""`-m`: one job per combination, each in a folder of its own, told apart in the results."""

import csv
from pathlib import Path
from typing import ClassVar

import pytest
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tests.commands.tiny import Said, files, inside, oaa, words

SWEEP = ("fusion=maximum,running_mean", "seed=0,1", "-m")
PLACES = [f"fusion={rule}/seed-{seed}" for rule in ("maximum", "running_mean") for seed in (0, 1)]


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


def test_a_job_feeds_only_the_store_of_its_fusion(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    for place in PLACES:
        (store,) = (home / place / "attention").iterdir()
        assert store.name == ("oaa_max" if "maximum" in place else "oaa_mean")


def test_jobs_that_differ_only_in_fusion_train_the_same_network(
    swept: tuple[Path, list[Said]],
) -> None:
    home, _ = swept
    logs = [
        [row for row in (home / place / "classifier/history.csv").read_text().splitlines()
         if "images_per_second" not in row]
        for place in PLACES
    ]  # fmt: skip
    assert logs[0] == logs[2]
    assert logs[1] == logs[3]
    assert logs[0] != logs[1]


def test_the_results_tell_the_jobs_apart(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    with (home / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["experiment"], row["seed"], row["method"]) for row in rows}
    methods = {"maximum": "oaa_max", "running_mean": "oaa_mean"}
    assert found == {
        (f"tiny[fusion={rule}]", seed, method)
        for rule, of_rule in methods.items()
        for seed in ("0", "1")
        for method in ("", of_rule)
    }


def test_every_variant_has_a_page_of_its_own(swept: tuple[Path, list[Said]]) -> None:
    home, _ = swept
    pages = [name for name in files(home) if name.endswith("index.html")]
    assert sorted(pages) == [
        "fusion=maximum/report/index.html",
        "fusion=running_mean/report/index.html",
    ]
    text = (home / "fusion=running_mean/report/index.html").read_text()
    assert "tiny[fusion=running_mean]" in text


def test_one_seed_more_leaves_the_others_alone(
    swept: tuple[Path, list[Said]], tiny_voc_once: Path
) -> None:
    home, _ = swept
    before = {place: (home / place / "classifier/last.ckpt").stat().st_mtime_ns for place in PLACES}
    with inside(home.parents[1]):
        said = oaa("fit", *words(tiny_voc_once), "fusion=maximum,running_mean", "seed=1,2", "-m")
    assert said.status == 0, said.err
    assert (home / "fusion=maximum/seed-2/classifier/done.json").is_file()
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
