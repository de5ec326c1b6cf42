"""The loggers of the extras, each really used for one training."""

import importlib.util
from pathlib import Path

import pytest
from tests.commands.tiny import oaa, words


def require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'oaa_pl[{package}]'")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of TensorBoard's own libraries
def test_tensorboard_has_the_values_of_each_epoch_and_the_scores(
    empty: Path, tiny_voc_once: Path
) -> None:
    require("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    said = oaa("fit", *words(tiny_voc_once), "logger=tensorboard")
    assert said.status == 0, said.err
    home = empty / "runs/tiny/seed-0"
    events = EventAccumulator(str(home / "classifier/tensorboard")).Reload()
    assert len(events.Scalars("train/loss_epoch")) == 2
    assert len(events.Scalars("oaa/accepted")) == 2
    scores = EventAccumulator(str(home / "scores/tensorboard")).Reload()
    assert "oaa_max/attention/miou" in scores.Tags()["scalars"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_mlflow_has_the_configuration_the_values_and_the_scores(
    empty: Path, tiny_voc_once: Path
) -> None:
    require("mlflow")
    from mlflow.tracking import MlflowClient

    said = oaa("fit", *words(tiny_voc_once), "logger=mlflow")
    assert said.status == 0, said.err
    client = MlflowClient("sqlite:///runs/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    classifier = runs["tiny seed 0 classifier"]
    assert classifier.data.params["classifier/batch_size"] == "2"
    assert "train/loss_epoch" in classifier.data.metrics
    assert classifier.info.status == "FINISHED"
    assert "oaa_max/attention/miou" in runs["tiny seed 0 scores"].data.metrics
