"""`logger=wandb` without a network: runs are written offline, and read back from their files."""

import logging
import signal
from pathlib import Path

import pytest
import yaml
from tests.commands.killed import run_until
from tests.commands.tiny import inside, oaa, words
from tests.commands.wandb_file import ReadRun, runs_below

ROOT = Path(__file__).parents[2]
LINE = ("logger=wandb", "logger.wandb.artifacts=[report,store]", "logger.wandb.tags=[first]")
VARIABLES = (
    "WANDB_MODE", "WANDB_API_KEY", "WANDB_DISABLED", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_NAME",
    "WANDB_TAGS", "WANDB_RUN_GROUP", "WANDB_DIR", "WANDB_SWEEP_ID", "WANDB_RUN_ID",
)  # fmt: skip


def without_key(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in VARIABLES:
        patch.delenv(name, raising=False)
    patch.setenv("HOME", str(home))  # no netrc
    patch.setenv("WANDB_SILENT", "true")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # a request to the network fails
        patch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_key(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def read(tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReadRun]:
    """The runs of one `oaa reproduce`, by their job type."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch, inside(folder):
        without_key(patch, folder)
        patch.setenv("WANDB_TAGS", "night,  voc ")
        said = oaa("reproduce", *words(tiny_voc_once), *LINE, "methods=[oaa_mean,oaa_max]",
                   "classifier.validate_every=1", "segmenter.validate_every=1")  # fmt: skip
    assert said.status == 0, said.err
    runs = runs_below(folder)
    found = {run.job_type: run for run in runs}
    assert len(found) == len(runs)
    return found


@pytest.mark.slow
def test_a_run_is_a_group_and_each_stage_a_job_type(read: dict[str, ReadRun]) -> None:
    assert set(read) == {"classifier", "segmenter oaa_mean", "segmenter oaa_max", "scores"}
    assert {run.group for run in read.values()} == {"tiny seed 0"}
    assert {run.name for run in read.values()} == {f"tiny seed 0 {kind}" for kind in read}
    assert len({run.id for run in read.values()}) == 4
    for run in read.values():
        assert run.project == "oaa_pl"
        assert set(run.tags) == {"first", "night", "voc"}
        assert run.exit_code == 0


@pytest.mark.slow
def test_a_run_has_the_whole_resolved_configuration(read: dict[str, ReadRun]) -> None:
    for run in read.values():
        assert run.config["classifier"]["optimizer"]["lr"] == 0.02
        assert run.config["segmenter"]["batch_size"] == 2
        assert run.config["store"]["grid"] == [8, 8]


@pytest.mark.slow
def test_each_epoch_has_its_values(read: dict[str, ReadRun]) -> None:
    classifier, segmenter = read["classifier"], read["segmenter oaa_max"]
    for key in ("train/loss_epoch", "oaa/accepted", "train/images_per_second", "val/map"):
        assert len(classifier.values(key)) == 2, key
    assert [key for key in classifier.summary if key.startswith("lr-")]
    for key in ("train/loss_epoch", "train/images_per_second", "val/miou"):
        assert len(segmenter.values(key)) == 2, key


@pytest.mark.slow
def test_the_summary_has_the_final_scores_of_every_method(read: dict[str, ReadRun]) -> None:
    summary = read["scores"].summary
    assert isinstance(summary["classification/map"], float)
    for method in ("oaa_mean", "oaa_max"):
        for metric in ("attention/miou", "proxy/miou", "segmentation/miou"):
            assert f"{method}/{metric}" in summary
    assert summary["segmentation/miou"] == summary["oaa_max/segmentation/miou"]


@pytest.mark.slow
def test_overlays_are_pictures_with_masks_of_named_classes(read: dict[str, ReadRun]) -> None:
    for kind, key, times in (("classifier", "attention", 2), ("segmenter oaa_max", "proxy", 1)):
        pictures = [name for name in read[kind].summary if name.startswith(f"{key}/")]
        assert len(pictures) == 4  # the first photos of three classes, and one more
        for name in pictures:
            assert len(read[kind].values(name)) == times
            for one in read[kind].values(name):
                assert one["_type"] == "images/separated"
                assert [set(masks) for masks in one["all_masks"]] == [{key}]
        labels = read[kind].config["_wandb"]["mask/class_labels"].values()
        assert all((one["value"]["8"], one["value"]["255"]) == ("cat", "ignored") for one in labels)
    table = read["scores"].values("photos")
    assert [(one["_type"], one["ncols"], one["nrows"]) for one in table] == [("table-file", 5, 2)]


@pytest.mark.slow
def test_the_page_and_the_stores_are_artifacts(read: dict[str, ReadRun]) -> None:
    kinds = [kind for kind, _ in read["scores"].artifacts]
    assert kinds.count("report") == 1
    assert kinds.count("store") == 2


@pytest.mark.slow
def test_each_job_of_a_sweep_has_runs_of_its_own_and_one_line_uploads_them(
    no_key: None, empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        said = oaa("fit", *words(tiny_voc_once), "logger=wandb", "seed=0,1", "-m",
                   "classifier.optimizer.momentum=0.5,0.9")  # fmt: skip
    assert said.status == 0, said.err
    runs = runs_below(empty)
    assert len(runs) == len({run.name for run in runs}) == len({run.id for run in runs}) == 8
    assert len({run.group for run in runs}) == 4
    assert "wandb sync $(find runs/tiny -type d -name 'offline-run-*')" in caplog.text
    assert not (empty / "wandb").exists()


@pytest.mark.slow
def test_an_interrupted_run_is_recorded_as_failed_and_continued_under_its_id(
    no_key: None, empty: Path, tiny_voc_once: Path
) -> None:
    line = (*words(tiny_voc_once), "logger=wandb")
    ended = run_until(signal.SIGINT, "last.ckpt", 2, empty, "fit", *line)
    assert ended.status == 130, ended.err
    (interrupted,) = runs_below(empty)
    assert interrupted.exit_code == 1
    assert oaa("fit", *line).status == 0
    runs = sorted(runs_below(empty), key=lambda run: (run.job_type, run.exit_code != 1))
    first, second, scores = runs
    assert first.id == second.id == interrupted.id != scores.id
    assert second.exit_code == 0
    epochs = [len(run.values("train/loss_epoch")) for run in (first, second)]
    assert epochs == [1, 1]  # each epoch was sent once


@pytest.mark.slow
def test_a_diverged_run_is_recorded_as_failed(
    no_key: None, empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", *words(tiny_voc_once), "logger=wandb", "classifier.optimizer.momentum=1e30")
    assert said.status == 2
    assert [run.exit_code for run in runs_below(empty)] == [1]


@pytest.mark.slow
def test_under_an_agent_each_stage_has_its_own_id_and_the_scores_are_the_agents_run(
    no_key: None, empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"SWEEP_ID": "sweep1", "RUN_ID": "agent1", "NAME": "mine", "RUN_GROUP": "night",
             "PROJECT": "other", "DIR": str(empty)}  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    said = oaa("fit", *words(tiny_voc_once), "logger=wandb")
    assert said.status == 0, said.err
    runs = {run.job_type: run for run in runs_below(empty / "wandb")}
    assert runs["classifier"].id != "agent1"
    assert runs["classifier"].sweep == ""
    assert runs["scores"].id == "agent1"
    assert runs["classifier"].name == "mine: tiny seed 0 classifier"
    assert {(run.group, run.project) for run in runs.values()} == {("night", "other")}
    assert not list((empty / "runs").rglob("*.wandb"))


def test_the_file_for_wandb_sweep_makes_commands_that_compose(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    spec = yaml.safe_load((ROOT / "docs/how-to/wandb-sweep.yaml").read_text("utf-8"))
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    values = {
        "classifier.optimizer.lr": 0.003,
        "classifier.optimizer.weight_decay": 0.0005,
        "seed": 0,
    }
    assert values.keys() == spec["parameters"].keys()
    drawn = {key: {"value": value} for key, value in values.items()}
    args = create_sweep_command_args({"args": drawn})["args_no_hyphens"]
    program, *line = create_sweep_command(spec["command"])
    assert (program, line.pop()) == ("oaa", "${args_no_hyphens}")
    said = oaa(*line, *args, "--cfg", "job")
    assert said.status == 0, said.err
    composed = yaml.safe_load(said.out)
    assert composed["name"] == "sweep-abc123"
    assert composed["classifier"]["optimizer"]["lr"] == 0.003
    assert composed["optimized_metric"] == spec["metric"]["name"]


def test_another_word_for_offline_is_refused(
    no_key: None, empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", *words(tiny_voc_once), "logger=wandb", "logger.wandb.offline=perhaps")
    assert said.status == 2
    assert "offline must be auto, true or false, got 'perhaps'" in said.last
