"""Sweeps in other processes: every launcher and sweeper that has an extra, at toy size."""

import importlib.util
import logging
import math
from pathlib import Path

import pytest
import yaml
from tests.commands.tiny import Said, oaa, words

LAUNCHERS = {
    "joblib": ("hydra_joblib_launcher", ("hydra.launcher.n_jobs=2",)),
    "submitit_local": ("hydra_submitit_launcher", ("hydra.launcher.timeout_min=10",)),
    "ray": ("hydra_ray_launcher", ("+hydra.launcher.ray.init.num_cpus=2",)),
}


def require(package: str) -> None:
    # Without any plug-in there is no package to look into.
    if not all(map(importlib.util.find_spec, ("hydra_plugins", f"hydra_plugins.{package}"))):
        pytest.skip(f"hydra_plugins.{package} is not installed: see the extras in pyproject.toml")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the launchers' own libraries
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_jobs_in_other_processes_share_a_classifier_and_a_failed_one_is_named(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture, launcher: str
) -> None:
    package, settings = LAUNCHERS[launcher]
    require(package)
    line = (*words(tiny_voc_once), f"hydra/launcher={launcher}", *settings)
    with caplog.at_level(logging.INFO):
        said = oaa("fit", *line, "fusion=maximum,running_mean", "classifier.batch_size=2,-1", "-m")
    assert said.status == 2, said.err
    failed = "oaa: 2 jobs of this sweep failed: #2 classifier.batch_size=-1 fusion=maximum: "
    assert said.last.startswith(failed)
    assert said.last.count("batch_size must be 1 or more") == 2
    assert "sweep: classifier: 1 made, 1 shared" in caplog.text
    assert len(list(empty.rglob("last.ckpt"))) == 1
    assert not list(empty.glob(".oaa-sweep-*"))
    again = oaa("fit", *line, "fusion=maximum,running_mean", "-m")
    assert again.status == 0, again.err


def test_slurm_is_composed_with_what_its_launcher_accepts(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require("hydra_submitit_launcher")
    settings = ("partition=gpu", "gpus_per_node=1", "timeout_min=480", "signal_delay_s=300")
    line = ("hydra/launcher=submitit_slurm", *(f"hydra.launcher.{one}" for one in settings))
    said = oaa("fit", *line, "--cfg", "hydra", "-p", "hydra.launcher")
    assert said.status == 0, said.err
    node = yaml.safe_load(said.out)
    assert node["_target_"].endswith(".SlurmLauncher")
    assert (node["partition"], node["signal_delay_s"]) == ("gpu", 300)


def search(root: Path, *more: str) -> Said:
    short = ("hydra.sweeper.n_trials=2", "optimized_metric=classification/map")
    return oaa("fit", *words(root), "hparams_search=optuna", *short, *more, "-m")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Optuna 2 calls its own interface experimental
def test_optuna_gets_the_metric_of_each_job_and_continues_with_the_same_trials(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    require("hydra_optuna_sweeper")
    said = search(tiny_voc_once)
    assert said.status == 0, said.err
    home = empty / "runs/tiny"
    best = yaml.safe_load((home / "optimization_results.yaml").read_text())
    assert math.isfinite(best["best_value"])
    scores = [float(path.read_text().splitlines()[-1].rpartition(",")[2])
              for path in home.rglob("classifier/metrics.csv")]  # fmt: skip
    assert len(scores) == 2
    assert best["best_value"] == max(scores)
    with caplog.at_level(logging.INFO):
        assert search(tiny_voc_once).status == 0
    assert "sweep: classifier: 2 there before" in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Optuna 2 calls its own interface experimental
def test_a_trial_without_a_finite_score_fails_by_name_and_is_no_good_value(
    empty: Path, tiny_voc_once: Path
) -> None:
    require("hydra_optuna_sweeper")
    missing = search(tiny_voc_once, "optimized_metric=segmentation/miou")
    assert missing.status == 2
    assert "2 jobs of this sweep failed: #0 " in missing.last
    assert "segmentation/miou: expected a number for the sweeper, got None" in missing.last
    diverged = search(tiny_voc_once, "name=diverged", "classifier.optimizer.momentum=1e30")
    assert diverged.status == 2
    assert "2 jobs of this sweep failed: #0 " in diverged.last
    assert "the loss is " in diverged.last


def test_a_search_without_m_is_refused(empty: Path, tiny_voc_once: Path) -> None:
    require("hydra_optuna_sweeper")
    said = oaa("fit", *words(tiny_voc_once), "hparams_search=optuna")
    assert said.status == 2
    assert "searches only with -m; add -m" in said.last
