"""Which precision a stage computes in: chosen, recorded, kept on another machine, or refused."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from tests.commands.tiny import files, oaa, require_refusal, words
from torch import nn

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.recipe import Recipe
from oaa_pl.files.installed import root_of
from oaa_pl.nets.processor import Bfloat16
from oaa_pl.stages.parts import Network
from oaa_pl.training import precision
from oaa_pl.training.device import accelerator_of
from oaa_pl.training.trainer_plan import TrainerPlan

SEED = Path("runs/tiny/seed-0")
NATIVE = Bfloat16(True, "Quick 9000 has AVX512-BF16")
IMITATED = Bfloat16(False, "Slow 100 has no instructions for bfloat16")


def machine(monkeypatch: pytest.MonkeyPatch, bfloat16: Bfloat16) -> None:
    """Work on another machine from here on."""
    monkeypatch.setattr(precision, "bfloat16_on", lambda device: bfloat16)


def record(stage: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((stage / "stage.json").read_text())
    return content


def used(stage: Path) -> tuple[object, object]:
    """As the key has it, and the configuration beside it."""
    return (
        record(stage)["made_from"]["precision"],
        OmegaConf.load(stage / "config.yaml").trainer.precision,
    )


@pytest.fixture(autouse=True)
def everything_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "oaa_pl")


def about(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was reported of the precision since the last time."""
    lines = [line for line in caplog.messages if line.startswith("precision ")]
    caplog.clear()
    return lines


@pytest.mark.parametrize(
    ("here", "name"),
    [
        # That auto chooses bfloat16, the test below sees as well.
        pytest.param(NATIVE, "bf16-mixed", id="native", marks=pytest.mark.slow),
        pytest.param(IMITATED, "32-true", id="imitated"),
    ],
)
def test_what_auto_chose_and_why_is_reported_once_and_recorded(
    empty: Path,
    tiny_voc_once: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: Bfloat16,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine(monkeypatch, here)
    said = oaa(
        "reproduce", *words(tiny_voc_once), "methods=[oaa_max,cam]", "trainer.precision=auto"
    )
    assert said.status == 0, said.err
    lines = caplog.messages
    assert [line for line in lines if line.startswith("precision ")] == [
        f"precision {name}: chosen by auto, since {here.why}"
    ]
    for stage in ("classifier", "segmenter/oaa_max", "segmenter/cam"):
        assert used(SEED / stage) == (name, name)
        assert record(SEED / stage)["precision"] == {"asked": "auto", "used": name, "why": here.why}
        assert any(
            line.startswith(f"{stage.replace('/', ' ')}, precision {name}: ") for line in lines
        )
    assert OmegaConf.load(SEED / "attention/cam/config.yaml").trainer.precision == name
    assert f">{name}<" in (SEED.parent / "report/index.html").read_text()


def interrupted(stage: Path) -> None:
    """As if a stage had been killed after its last checkpoint."""
    (stage / "done.json").unlink()


@pytest.mark.parametrize(
    ("before", "after", "name", "other"),
    [
        pytest.param(NATIVE, IMITATED, "bf16-mixed", "32-true", id="to a slow one"),
        pytest.param(
            IMITATED, NATIVE, "32-true", "bf16-mixed", id="to a quick one", marks=pytest.mark.slow
        ),
    ],
)
def test_a_run_that_goes_on_on_another_machine_keeps_its_precision_and_says_so(
    empty: Path,
    tiny_voc_once: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Bfloat16,
    after: Bfloat16,
    name: str,
    other: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    auto = (*words(tiny_voc_once), "trainer.precision=auto")
    machine(monkeypatch, before)
    assert oaa("fit", *auto).status == 0
    about(caplog)
    interrupted(SEED / "classifier")
    machine(monkeypatch, after)
    said = oaa("reproduce", *auto, "methods=[oaa_max,oaa_plus_hybrid]")
    assert said.status == 0, said.err
    kept, *warned = about(caplog)
    assert kept == (
        f"precision {name}: kept, since this run has it; auto would choose {other} here, since "
        f"{after.why}"
    )
    slow = [f"precision bf16-mixed is slow here, often ten times slower than float32: {after.why}"]
    assert [line.partition(";")[0] for line in warned] == (slow if name != "32-true" else [])
    for stage in ("classifier", "integral/hybrid", "segmenter/oaa_max"):
        assert used(SEED / stage) == (name, name)
        assert record(SEED / stage)["precision"]["why"] == before.why


def test_a_run_of_an_older_package_keeps_what_it_was_made_with(
    again: Path,
    tiny_voc_once: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whose experiment named bf16-mixed where today's says auto; its records say no why."""
    machine(monkeypatch, NATIVE)
    for stage in ("classifier", "segmenter/oaa_max"):
        old = record(SEED / stage)
        old.pop("precision")
        (SEED / stage / "stage.json").write_text(json.dumps(old))
        interrupted(SEED / stage)
    for what in ("classifier", "segmenter"):
        asked = (*words(tiny_voc_once), f"stage={what}", "method=oaa_max")
        said = oaa("fit", *asked, "trainer.precision=auto")
        assert said.status == 0, said.err
        assert about(caplog)[0].startswith("precision 32-true: kept, since this run has it")
    assert record(SEED / "classifier")["precision"]["why"] == "as recorded"


@pytest.mark.parametrize("value", [32, pytest.param("32", marks=pytest.mark.slow)])
def test_a_training_whose_record_spells_its_precision_otherwise_is_rescued(
    again: Path, tiny_voc_once: Path, value: object
) -> None:
    """The older package crashed on a number only after the training."""
    stage = SEED / "classifier"
    old = record(stage)
    old["made_from"]["precision"] = value
    (stage / "stage.json").write_text(json.dumps(old))
    interrupted(stage)
    for method in ("oaa_max", "oaa_mean"):
        interrupted(SEED / "attention" / method)
        maps = record(SEED / "attention" / method)
        maps["made_from"]["classifier"]["precision"] = value
        (SEED / "attention" / method / "stage.json").write_text(json.dumps(maps))
    said = oaa("fit", *words(tiny_voc_once), "trainer.precision=32-true")
    assert said.status == 0, said.err
    assert used(stage)[0] == value


def test_another_precision_that_is_asked_for_by_name_is_still_refused(
    again: Path, tiny_voc_once: Path
) -> None:
    interrupted(SEED / "classifier")
    said = oaa("fit", *words(tiny_voc_once), "trainer.precision=bf16-mixed")
    require_refusal(said, "classifier was made with precision='32-true', requested 'bf16-mixed'")


@pytest.mark.parametrize(
    "name",
    ["bf16-mixed", *(pytest.param(n, marks=pytest.mark.slow) for n in ("bf16-true", "16-true"))],
)
def test_numbers_that_a_processor_imitates_are_used_with_one_line_of_warning(
    empty: Path,
    tiny_voc_once: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine(monkeypatch, IMITATED)
    chosen = (*words(tiny_voc_once), "methods=[cam]", f"trainer.precision={name}")
    said = oaa("fit", *chosen)
    assert said.status == 0, said.err
    (line,) = about(caplog)
    assert line.startswith(f"precision {name} is slow here, often ten times slower than float32: ")
    assert line.endswith("; a new run is faster with trainer.precision=auto")


@pytest.mark.parametrize(
    ("value", "computed"),
    [
        ("bf16", "bf16-mixed"),
        ("'16'", "32-true"),
        pytest.param("16", "32-true", marks=pytest.mark.slow),
        pytest.param("32", "32-true", marks=pytest.mark.slow),
    ],
)
def test_every_spelling_of_a_precision_is_one_of_lightnings(
    empty: Path, tiny_voc_once: Path, value: str, computed: str
) -> None:
    chosen = (*words(tiny_voc_once), "classifier.epochs=1", f"trainer.precision={value}")
    assert oaa("fit", *chosen).status == 0
    assert record(SEED / "classifier")["precision"]["used"] == computed
    assert oaa("fit", *chosen).status == 0  # once more, with nothing to do


@pytest.mark.parametrize(
    ("value", "computed"),
    [
        ("bf16-mixed", "bf16-mixed"),
        pytest.param("64", "64-true", marks=pytest.mark.slow),
        pytest.param("bf16-true", "bf16-true", marks=pytest.mark.slow),
        pytest.param("16-true", "16-true", marks=pytest.mark.slow),
    ],
)
def test_every_precision_of_lightnings_goes_through_all_stages(
    empty: Path, tiny_voc_once: Path, value: str, computed: str
) -> None:
    said = oaa(
        "reproduce",
        *words(tiny_voc_once),
        "methods=[cam,oaa_plus_hybrid]",
        f"trainer.precision={value}",
    )
    assert said.status == 0, said.err
    assert "Warning" not in said.err
    for stage in ("classifier", "integral/hybrid", "segmenter/cam"):
        assert record(SEED / stage)["precision"]["used"] == computed
        state = torch.load(SEED / stage / LAST, weights_only=True)["state_dict"]
        types = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
        learned = {t.dtype for name, t in state.items() if name.startswith("net.head")}
        assert learned == {types.get(computed, torch.float32)}
    # And once more, with nothing to do.
    assert oaa("fit", *words(tiny_voc_once), f"trainer.precision={value}").status == 0


def test_float16_on_a_cpu_is_float32_in_every_command_with_one_notice_each(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    half = (*words(tiny_voc_once), "methods=[cam,oaa_max]", "trainer.precision=16-mixed")
    notice = "precision 16-mixed needs a GPU; on a CPU it is 32-true"
    photos = f"predict.photos={tiny_voc_once / 'JPEGImages'}"
    checkpoint = SEED / "segmenter/cam" / LAST
    for command in (
        ("fit", *half),
        ("attend", *half, "method=cam"),
        ("label", *half, "method=cam"),
        ("fit", *half, "stage=segmenter", "method=cam"),
        ("evaluate", *half, "evaluate.flip=true"),
        ("predict", photos, f"predict.checkpoint={checkpoint}", "trainer.precision=16-mixed"),
    ):
        about(caplog)
        done = oaa(*command)
        assert done.status == 0, done.err
        assert about(caplog) == ([] if command[0] == "label" else [notice]), command
    for stage in ("classifier", "segmenter/cam"):
        assert used(SEED / stage)[0] == "32-true"
        assert record(SEED / stage)["precision"]["asked"] == "16-mixed"


def test_a_run_of_an_older_package_that_asked_for_float16_on_a_cpu_still_opens(
    again: Path, tiny_voc_once: Path
) -> None:
    """It trained in bfloat16, as Lightning does."""
    stage = SEED / "classifier"
    old = record(stage)
    old["made_from"]["precision"] = "bf16-mixed"
    old["precision"] = {"asked": "16-mixed", "used": "bf16-mixed", "why": "as configured"}
    (stage / "stage.json").write_text(json.dumps(old))
    for method in ("oaa_max", "oaa_mean"):
        maps = record(SEED / "attention" / method)
        maps["made_from"]["classifier"]["precision"] = "bf16-mixed"
        (SEED / "attention" / method / "stage.json").write_text(json.dumps(maps))
    done = oaa("fit", *words(tiny_voc_once), "trainer.precision=16-mixed")
    assert done.status == 0, done.err
    assert used(stage)[0] == "bf16-mixed"


@pytest.mark.parametrize("value", ["transformer-engine", "transformer-engine-float16", "8", "half"])
@pytest.mark.parametrize("command", ["fit", pytest.param("reproduce", marks=pytest.mark.slow)])
def test_one_that_cannot_be_is_refused_before_anything_is_made(
    empty: Path, tiny_voc_once: Path, value: str, command: str
) -> None:
    said = oaa(command, *words(tiny_voc_once), f"trainer.precision={value}")
    require_refusal(said, f"trainer.precision={value} is not supported" if "-" in value else value)
    require_refusal(said, "use one of auto" if "-" in value else "must be one of auto")
    assert not files(empty)


@pytest.mark.parametrize("name", ["photos", "table2_voc320", "table3_voc320", "voc12"])
def test_experiments_of_wide_networks_choose_by_the_machine(name: str) -> None:
    text = (root_of("conf") / "experiment" / f"{name}.yaml").read_text()
    named = [line for line in text.splitlines() if line.strip().startswith("precision:")]
    assert [line.split()[1] for line in named] == ["auto"] * len(named)
    gpu = OmegaConf.load(root_of("conf") / "trainer/gpu.yaml")
    assert isinstance(gpu, DictConfig)
    assert gpu.precision == "auto"


def test_the_embedded_experiment_stays_in_float32() -> None:
    cpu = OmegaConf.load(root_of("conf") / "trainer/cpu.yaml")
    assert isinstance(cpu, DictConfig)
    assert cpu.precision == "32-true"
    assert "precision" not in (root_of("conf") / "experiment/synthetic.yaml").read_text()


@pytest.mark.parametrize(
    ("accelerator", "cuda", "mps", "found"),
    [
        ("cpu", True, True, "cpu"), ("gpu", True, True, "cuda"), ("auto", False, True, "mps"),
        ("auto", False, False, "cpu"), ("mps", False, True, "mps"), ("cuda", True, False, "cuda"),
    ],
)  # fmt: skip
def test_the_device_is_the_one_that_lightning_takes(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, cuda: bool, mps: bool, found: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert accelerator_of(accelerator) == found


@pytest.mark.parametrize(
    ("native", "device", "name"),
    [
        (NATIVE, "cuda", "bf16-mixed"), (IMITATED, "cuda", "16-mixed"),
        (IMITATED, "mps", "32-true"), (IMITATED, "cpu", "32-true"),
    ],
)  # fmt: skip
def test_an_older_gpu_has_float16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, native: Bfloat16, device: str, name: str
) -> None:
    machine(monkeypatch, native)
    monkeypatch.setattr(precision, "accelerator_of", lambda wanted: device)
    auto = TrainerPlan().changed(precision="auto")
    assert precision.settle(auto, tmp_path, tmp_path).trainer.precision == name


@pytest.mark.parametrize(("device", "name"), [("cpu", "32-true"), ("cuda", "bf16-mixed")])
def test_a_network_that_gains_nothing_from_bfloat16_on_a_cpu_gets_float32_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, name: str
) -> None:
    machine(monkeypatch, NATIVE)
    monkeypatch.setattr(precision, "accelerator_of", lambda wanted: device)
    notes = {"name": "depthwise", "bf16_on_cpu": False}
    net = Network(Recipe.of(nn.Conv2d), (0, 0, 0), (1, 1, 1), notes=notes)
    auto = TrainerPlan().changed(precision="auto")
    settled = precision.settle(auto, tmp_path, tmp_path, net.full_on_cpu)
    assert settled.trainer.precision == name
    if device == "cpu":
        assert settled.facts["why"] == "depthwise gains little or nothing from bfloat16 on a CPU"
