"""The door: from keys of the configuration to parts."""

from pathlib import Path
from unittest import mock

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict
from tests.commands.tiny import words

from oaa_pl.attention.fusion import FUSIONS
from oaa_pl.config.compose import register
from oaa_pl.errors import ConfigError
from oaa_pl.files.installed import root_of
from oaa_pl.report.methods import methods
from oaa_pl.runs.named import run_of
from oaa_pl.stages.configured import Configured
from oaa_pl.stages.integral import IntegralStage
from oaa_pl.stages.pipeline import Pipeline

STAGES = Path(__file__).parents[2] / "src" / "oaa_pl"
DOORS = {"stages/configured.py", "stages/pipeline.py", "stages/views.py", "runs/recorded.py"}


def composed(root: Path, *more: str) -> DictConfig:
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        return compose("config", [*words(root), *more])


def test_the_configuration_stops_at_the_door() -> None:
    """Below it a part says in its signature what it uses."""
    below = [p for name in ("stages", "training", "runs", "plan") for p in STAGES.glob(f"{name}/*")]
    naming = {
        path.relative_to(STAGES).as_posix()
        for path in below
        if path.suffix == ".py" and "DictConfig" in path.read_text(encoding="utf-8")
    }
    assert naming <= DOORS


def test_a_value_that_is_missing_is_named(tiny_voc_once: Path) -> None:
    cfg = composed(tiny_voc_once)
    with open_dict(cfg):
        del cfg.net.mean
    with pytest.raises(ConfigError, match=r"net\.mean is missing; say net\.mean="):
        Configured(cfg).network("attention")


def test_photos_are_opened_once_for_all_stages_of_a_run(tiny_voc_once: Path) -> None:
    other = ("segmenter.net=resnet101", "segmenter.init=net")
    stages = Pipeline(composed(tiny_voc_once, *other)).stages()
    assert len({id(stage.data) for stage in stages}) == 1
    assert len({type(stage) for stage in stages}) == 5


def test_each_method_is_trained_with_its_own_loss(tiny_voc_once: Path) -> None:
    stages = Pipeline(composed(tiny_voc_once)).stages()
    losses = [stage.loss for stage in stages if isinstance(stage, IntegralStage)]
    assert [(loss.name, loss.method) for loss in losses] == [
        ("cross_entropy", "oaa_plus_mce"), ("hybrid", "oaa_plus_hybrid"),
    ]  # fmt: skip


def test_a_network_of_the_segmenters_own_cannot_take_the_classifiers_trunk(
    tiny_voc_once: Path,
) -> None:
    cfg = composed(tiny_voc_once, "segmenter.net=vgg16", "segmenter.init=classifier_trunk")
    pipeline = Pipeline(cfg)
    with pytest.raises(ConfigError, match=r"segmenter\.net=vgg16 cannot take; say segmenter\.init"):
        pipeline.segmenter("oaa_max")
    # A classifier is trained and scored all the same.
    assert pipeline.classifier().folder == pipeline.scored()[0].folder


def test_a_run_is_known_before_its_data_set_is() -> None:
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", ["data=folder", "name=mine", "segmenter.fraction=0.2", "seed=3"])
    run = run_of(cfg)
    assert run.root == Path("runs/mine/seed-3")
    assert run.segmenter("cam").name == "cam-20pc"
    with pytest.raises(ConfigError, match=r"data\.root is not set and has no default; say data\.r"):
        Pipeline(cfg)


def test_a_fusion_is_recorded_with_its_parameters(tiny_voc_once: Path) -> None:
    more = ("fusion=beyond_paper", "fusion.stores.oaa_power_mean.exponent=4")
    parts = Configured(composed(tiny_voc_once, *more))
    assert parts.fusions == {
        "oaa_max": "maximum",
        "oaa_mean": "running_mean",
        "oaa_noisy_or": "noisy_or",
        "oaa_power_mean": "power_mean(exponent=4)",
        "oaa_exponential_mean": "exponential_mean(rate=0.3)",
    }
    assert set(parts.fusions) <= {*methods()}


@mock.patch.dict(FUSIONS)
def test_a_value_that_a_store_could_not_keep_is_refused(
    tiny_voc_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_fusion.py").write_text(
        "from oaa_pl.attention.fusion import Maximum\n"
        "class Half(Maximum):\n"
        "    name = 'half'\n"
        "    def __init__(self, share=0.5): self.share = share\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    node = "+fusion.stores.oaa_half={_target_:half_fusion.Half,share:0.1}"
    with pytest.raises(ConfigError, match=r"oaa_half: 'share' is not among the param"):
        _ = Configured(composed(tiny_voc_once, node)).fusions
