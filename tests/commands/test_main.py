"""The command line's manual and its exit statuses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from tests.commands.tiny import files, oaa, surroundings, words

from oaa_pl.commands.manual import COMMANDS, STORE
from oaa_pl.config.compose import compose_group, register
from oaa_pl.config.methods import chosen_method
from oaa_pl.files.installed import root_of
from oaa_pl.stages.integral import IntegralStage
from oaa_pl.stages.pipeline import Pipeline


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_the_front_page_names_every_command_and_every_choice(arguments: tuple[str, ...]) -> None:
    said = oaa(*arguments)
    assert (said.status, said.err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in said.out
    assert "  experiment=" in said.out
    assert "|smoke|synthetic" in said.out
    names = sorted(path.stem for path in (root_of("conf") / "net").glob("*.yaml"))
    assert "net=" + "|".join(names) in re.sub(r"\|\n +", "|", said.out)
    assert "status: 0 done" in said.out


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_a_page_with_examples(name: str, flag: str) -> None:
    said = oaa(name, flag)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"oaa {name}: ")
    assert f"\n  oaa {name}" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_the_version_is_the_package_s() -> None:
    from oaa_pl import __version__

    assert oaa("--version").out == f"oaa {__version__}\n"


def examples() -> list[tuple[str, str]]:
    return [
        (name, example.replace("\\\n", ""))
        for name, (_, _, lines) in COMMANDS.items()
        for example in lines
        if name != STORE
    ]


@pytest.mark.parametrize(("name", "example"), examples(), ids=lambda value: value[:60])
def test_every_example_of_the_manual_composes(name: str, example: str) -> None:
    assert example.startswith(f"oaa {name}")
    overrides = example.removeprefix(f"oaa {name}").split()
    if name == "report":  # takes a folder in place of values
        overrides = [word for word in overrides if "=" in word or word == "-m"]
    values = [word for word in overrides if word != "-m"]
    sweeps = [word for word in values if "," in word and "[" not in word]
    assert bool(sweeps) == ("-m" in overrides)
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        choices = [word.partition(",")[0] if word in sweeps else word for word in values]
        assert compose("config", overrides=choices).name


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (root_of("conf") / "experiment").glob("*.yaml"))
)
def test_every_experiment_composes_under_its_own_name(name: str) -> None:
    # Tables 1 and 3 vary the segmenters of Table 2's run.
    of_others = {"table1_voc12": "voc12", "table3_voc12": "voc12", "table3_lite": "table2_lite"}
    run = of_others.get(name, name)
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        assert compose("config", overrides=[f"experiment={name}"]).name == run


@pytest.mark.parametrize("experiment", ["voc12", "table2_voc320"])
@pytest.mark.parametrize("cue", ["boundary", "constant", "folder", "onnx"])
def test_an_experiment_may_be_run_with_any_background_cue(experiment: str, cue: str) -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        choices = [f"experiment={experiment}", f"background={cue}"]
        keys = set(compose("config", overrides=choices).background)
    assert keys == set(compose_group("background", cue))


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("paper", ("beats_absent_classes", "class_attention", 0, [1, 2, 10, 20], True, "hybrid")),
        ("release_caffe", ("top_k", "min_max_attention", 1, [1, 2, 1, 2], True, "pooled_hybrid")),
        (
            "release_pytorch",
            ("top_k", "class_attention", 1, [1, 2, 10, 20], False, "pooled_hybrid"),
        ),
    ],
)
def test_a_preset_is_the_recipe_of_its_source(preset: str, expected: tuple[object, ...]) -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", overrides=[f"preset={preset}", "experiment=voc12"])
    gate, attention = (node._target_.rpartition(".")[2] for node in (cfg.gate, cfg.attention))
    rates = list(cfg.classifier.optimizer.rates)
    first, shuffle = cfg.classifier.first_epoch, cfg.loader.shuffle
    assert (gate, attention, first, rates, shuffle, cfg.loss.name) == expected


@pytest.mark.parametrize("net", ["vgg16", "resnet101", "small"])
@pytest.mark.parametrize("preset", ["paper", "release_caffe", "release_pytorch"])
def test_deeplabs_last_layer_alone_has_the_fast_rates(preset: str, net: str) -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", overrides=[f"preset={preset}", "experiment=voc12", f"net={net}"])
    cfg.net.weights = "none"
    made = instantiate(cfg.net.segmenter)(num_classes=21)
    groups = instantiate(cfg.segmenter.optimizer)(made).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    fast = {name for name, p in made.named_parameters() if rates[id(p)] > 2 * 1e-3}
    assert fast == {"head.6.weight", "head.6.bias"}


@pytest.mark.parametrize(
    "experiment", ["voc12", "table1_voc12", "table3_voc12", "photos net=vgg16"]
)
@pytest.mark.parametrize(
    ("choice", "loss", "threshold"),
    [
        ("preset=paper", "hybrid", None),
        ("preset=release_caffe", "pooled_hybrid", 0.0),
        ("preset=release_pytorch", "pooled_hybrid", 0.001),
        ("loss=pooled_hybrid", "pooled_hybrid", 0.001),
    ],
)
def test_every_experiment_trains_oaa_plus_with_the_loss_that_was_chosen(
    experiment: str, choice: str, loss: str, threshold: float | None
) -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", overrides=[
            choice, "data.root=x", "++data.tag_file=y", *f"experiment={experiment}".split(),
        ])  # fmt: skip
        trained = [one for one in Pipeline(cfg).stages() if isinstance(one, IntegralStage)]
    last = trained[-1].loss
    assert (last.name, last.function.key.get("threshold")) == (loss, threshold)
    assert chosen_method(cfg).loss == last.name
    assert chosen_method(cfg).name == cfg.methods[-1]
    assert len(set(cfg.methods)) == len(cfg.methods)


@pytest.mark.parametrize("preset", ["paper", "release_caffe", "release_pytorch"])
@pytest.mark.parametrize("loss", ["hybrid", "pooled_hybrid", "cross_entropy"])
def test_every_loss_can_be_asked_of_every_preset(preset: str, loss: str) -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", overrides=[f"preset={preset}", f"loss={loss}"])
    function = instantiate(cfg.loss.function)
    score_map, soft_label = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.isfinite(function(score_map, soft_label))
    if loss == "pooled_hybrid":
        assert cfg.loss.function.threshold == (0.0 if preset == "release_caffe" else 0.001)


def test_the_configuration_that_would_be_used_can_be_read(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "--cfg", "job")
    assert said.status == 0
    assert "input_size: 48" in said.out
    assert not files(empty)


def test_the_manual_answers_without_torch() -> None:
    lines = "import sys\nfrom oaa_pl.commands.main import main\nmain(['fit', '--help'])\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{lines}sys.exit('torch' in sys.modules)"],
        env=surroundings(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0


def test_an_unexpected_error_keeps_its_traceback(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(cfg: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("oaa_pl.commands.fit.run", defect)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        oaa("fit", *words(tiny_voc_once))
