"""What the README shows must work as it stands there."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from oaa_pl.attention.view import identity_view
from oaa_pl.commands.compose import register, root_of
from oaa_pl.report.markdown import markdown_tables
from oaa_pl.report.results import read_results
from oaa_pl.types import Batch, StepOutput

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The overrides of every `oaa COMMAND ...` in a shell block, multiruns by their first job."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("oaa ")]
    return [
        [word.split(",")[0] for word in line[2:] if "=" in word and word[0] != "-"]
        for line in words
    ]  # `check` of `oaa data check` is no override


class Classifier(LightningModule):
    """As little as somebody's own classifier may be."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Conv2d(3, 2, 1)

    def training_step(self, batch: Batch) -> StepOutput:
        score_map = self.net(batch["image"])
        return {"loss": score_map.mean(), "score_map": score_map.detach()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_parts_for_somebodys_own_classifier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = torch.tensor([[1, 0], [1, 1]])
    scope = {
        "Trainer": lambda **options: Trainer(
            **{**options, "max_epochs": 1},
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        ),
        "ids": ("a", "b"),
        "classes": ("cat", "dog"),
        "labels": labels.numpy() > 0,
        "batch_labels": labels,
        "index": torch.arange(2),
        "score_map": torch.ones(2, 2, 4, 4),
    }
    pieces = blocks("python")
    for piece in pieces[:-1]:
        exec(piece, scope)
    image = {
        "image": torch.ones(3, 8, 8),
        "labels": torch.tensor([1.0, 1.0]),
        "index": 1,
        "view": identity_view(1)[0],
        "repeat": False,
    }
    scope["trainer"].fit(Classifier(), DataLoader([image]))
    exec(pieces[-1], scope)
    assert scope["attention"].shape == (1, 32, 32)


@pytest.mark.parametrize("overrides", commands(), ids=" ".join)
def test_the_commands_fit_the_configuration(overrides: list[str]) -> None:
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        assert compose("config", overrides).name


def test_links_to_files_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("results", sorted(ROOT.glob("experiments/*/results.csv")), ids=str)
def test_the_tables_of_the_readme_are_those_of_the_committed_results(results: Path) -> None:
    name = results.parent.name
    quoted = re.search(
        rf"<!-- experiments/{name}/results.csv -->\n(.*?)<!-- end -->", README, re.DOTALL
    )
    assert quoted is not None, f"the README does not quote {name}"
    assert quoted[1].strip() == markdown_tables(read_results(results)).strip()
