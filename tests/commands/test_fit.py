"""Each stage by its own command makes what `oaa reproduce` makes."""

import csv
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from tests.commands.tiny import Said, files, inside, oaa, require_refusal, words

from oaa_pl.commands import evaluate, fit, reproduce
from oaa_pl.config.compose import register
from oaa_pl.errors import StoreError
from oaa_pl.files.installed import root_of
from oaa_pl.files.lock import WriterLock
from oaa_pl.report.results import read_results
from oaa_pl.store.fresh import clear_maps
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_NONE
from oaa_pl.store.reader import StoreReader

CHAIN = (
    "fit stage=classifier",
    "attend method=cam",
    "fit stage=integral",
    "fit stage=integral loss=cross_entropy",
    "attend method=oaa_plus_hybrid",
    "attend method=oaa_plus_mce loss=cross_entropy",
    "label -m method=cam,oaa_mean,oaa_max,oaa_plus_mce,oaa_plus_hybrid",
    "fit -m stage=segmenter method=cam,oaa_mean,oaa_max,oaa_plus_mce,oaa_plus_hybrid",
    "evaluate",
    "report",
)
# Times and commands differ; a checkpoint holds paths.
DIFFERENT = {"done.json", "stage.json", "config.yaml", "history.csv", "last.ckpt", "writer.lock"}
DIFFERENT |= {"index.html", "grid.png"}


@pytest.fixture(scope="module")
def step_by_step(
    tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Said]]:
    """A folder in which every stage ran by itself, and what each said."""
    folder = tmp_path_factory.mktemp("steps")
    with inside(folder):
        said = []
        for line in CHAIN:
            name, *overrides = line.split()
            said.append(oaa(name, *words(tiny_voc_once), *overrides))
            assert said[-1].status == 0, (line, said[-1].err)
    return folder, said


def test_the_commands_one_by_one_make_the_same_files_as_reproduce(
    step_by_step: tuple[Path, list[Said]], finished: Path
) -> None:
    folder, _ = step_by_step
    # The sweeps over methods begin no folders of their own.
    assert files(folder) - {"runs/tiny/multirun.yaml"} == files(finished)


def test_the_commands_one_by_one_make_the_same_bytes_as_reproduce(
    step_by_step: tuple[Path, list[Said]], finished: Path
) -> None:
    folder, _ = step_by_step
    same = [name for name in files(finished) if Path(name).name not in DIFFERENT]
    assert len(same) > 100
    different = [n for n in same if (folder / n).read_bytes() != (finished / n).read_bytes()]
    assert different == []


def test_long_work_shows_a_bar_with_a_rate_and_the_time_left(
    step_by_step: tuple[Path, list[Said]],
) -> None:
    classifier = step_by_step[1][0].err
    assert "classifier: 100%" in classifier
    assert "4/4" in classifier
    assert "batch/s" in classifier
    assert "loss 0." in classifier


def test_every_present_pair_has_a_map_when_the_classifier_is_done(finished: Path) -> None:
    for method in ("oaa_max", "oaa_mean"):
        store = StoreReader(finished / f"runs/tiny/seed-0/attention/{method}/store")
        assert (store.rows["origin"] != ORIGIN_NONE).all()
        assert len(store.rows) == 6


def test_the_history_has_the_losses_and_the_accepted_fraction(finished: Path) -> None:
    text = (finished / "runs/tiny/seed-0/classifier/history.csv").read_text()
    assert text.startswith("step,name,value\n")
    for name in ("train/loss", "oaa/accepted", "train/images_per_second", "lr-"):
        assert name in text


def test_a_wrong_start_of_the_integral_model_is_refused(again: Path, tiny_voc_once: Path) -> None:
    integral = again / "runs/tiny/seed-0/integral"
    shutil.rmtree(integral)  # or its record, made with another start, would be refused first
    said = oaa("fit", *words(tiny_voc_once), "stage=integral", "integral.init=magic")
    require_refusal(said, "must be net, classifier or classifier_trunk, got 'magic'")
    assert not list(integral.rglob("*.ckpt"))


def test_maps_of_a_classifier_that_was_removed_are_not_mixed_with_the_next_ones(
    again: Path, tiny_voc_once: Path
) -> None:
    for path in (again / "runs/tiny/seed-0/classifier").iterdir():
        if path.is_file():
            path.unlink()
    said = oaa("fit", *words(tiny_voc_once), "classifier.optimizer.lr=0.03")
    assert said.status == 2
    assert "attention/oaa_max was made with classifier.classifier.optimizer.lr=0.02" in said.last


def test_maps_that_came_to_no_checkpoint_are_cleared_unless_somebody_writes_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "maps/store").mkdir(parents=True)
    lock = WriterLock(tmp_path / "maps/store/writer.lock")
    with pytest.raises(StoreError, match="being written"):
        clear_maps(tmp_path / "maps")
    assert (tmp_path / "maps/store").is_dir()
    lock.release()
    clear_maps(tmp_path / "maps")
    assert not (tmp_path / "maps").exists()
    clear_maps(tmp_path / "maps")


def test_a_callback_of_ones_own_sees_every_training_batch(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(root_of("experiments") / "table2_voc320")
    ours = "callbacks=[{_target_: epochs.AttentionByEpoch, output: epochs.csv, grid: [8, 8]}]"
    said = oaa("fit", *words(tiny_voc_once), ours, "classifier.epochs=8")
    assert said.status == 0, said.err
    with Path("epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    store = StoreReader(Path("runs/tiny/seed-0/attention/oaa_max/store"))
    accepted = len(store.rows) * sum(float(row["accepted"]) for row in rows)
    assert store.rows["updates"].sum() == pytest.approx(accepted, abs=0.1)
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 9)]
    assert rows[0]["iou_with_before"] == "nan"
    for row in rows:
        assert all(0 <= float(row[share]) <= 1 for share in ("empty", "area"))
    fused = store.state[store.rows["origin"] == ORIGIN_ACCEPTED]
    assert len(fused), "the tiny run has changed: its gate accepts nothing"
    assert float(rows[-1]["area_maximum"]) == pytest.approx((fused >= 0.3).mean(), abs=0.01)


def composed(root: Path, *more: str) -> DictConfig:
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        return compose("config", [*words(root), *more])


@pytest.mark.parametrize(
    ("metric", "stage", "method"),
    [
        ("segmentation/miou", "segmenter", "oaa_max"),
        ("classification/map", "classifier", ""),
        ("proxy/miou", "labels", "oaa_plus_hybrid"),  # the last one that was scored
    ],
)
def test_a_job_returns_the_metric_that_a_sweeper_is_to_optimize(
    again: Path, tiny_voc_once: Path, metric: str, stage: str, method: str
) -> None:
    chosen = (f"stage={stage}", f"method={method}") if stage == "segmenter" else ()
    cfg = composed(tiny_voc_once, f"optimized_metric={metric}", *chosen)
    rows = read_results(again / "runs/tiny/results.csv")
    (expected,) = [
        row.value for row in rows if (row.metric, row.stage, row.method) == (metric, stage, method)
    ]
    assert fit.run(cfg) == expected


def test_the_metric_of_a_pipeline_is_that_of_its_last_segmenter(
    again: Path, tiny_voc_once: Path
) -> None:
    rows = read_results(again / "runs/tiny/results.csv")
    scores = {row.method: row.value for row in rows if row.metric == "segmentation/miou"}
    assert reproduce.run(composed(tiny_voc_once)) == scores["oaa_plus_hybrid"]
    assert evaluate.run(composed(tiny_voc_once, "methods=[cam]")) == scores["cam"]


def test_a_metric_that_was_not_measured_is_none(again: Path, tiny_voc_once: Path) -> None:
    assert fit.run(composed(tiny_voc_once, "optimized_metric=attention/of_nothing")) is None
