"""The pieces of Python in the README work as they are printed."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from tests.commands.tiny import oaa
from tests.readme_scope import EPOCHS, IDS, Classifier, Photos, blocks, run_all, scope_with
from torch.utils.data import DataLoader

from oaa_pl.errors import StoreNotEmptyError
from oaa_pl.store.reader import StoreReader

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


POLICIES: dict[str, Callable[[], ModelCheckpoint] | None] = {
    "no checkpoints": None,
    "the best": lambda: ModelCheckpoint("kept", monitor="val/map", mode="max", save_top_k=1),
    "every second epoch": lambda: ModelCheckpoint("kept", every_n_epochs=2),
    "weights alone": lambda: ModelCheckpoint("kept", save_weights_only=True),
    "a slash in the name": lambda: ModelCheckpoint(
        "kept", "{epoch}-{val/map:.2f}", monitor="val/map", save_top_k=-1
    ),
}


def updates() -> list[int]:
    counted: list[int] = StoreReader(Path("maps")).rows["updates"].tolist()
    return counted


@pytest.mark.filterwarnings("ignore:The 'val_dataloader' does not have many workers:UserWarning")
@pytest.mark.parametrize("policy", POLICIES)
def test_the_callback_keeps_the_maps_of_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.chdir(tmp_path)
    opener, lightning, *_ = blocks(README, "python")
    checkpoint = POLICIES[policy]
    scope = scope_with(*([checkpoint()] if checkpoint else []))
    for piece in (opener, lightning):
        exec(piece, scope)
    scope["trainer"].fit(Classifier(), DataLoader(Photos()), DataLoader(Photos()))
    assert updates() == [EPOCHS] * 3
    # The same script again: refused, and nothing is lost.
    for piece in (opener, lightning):
        exec(piece, scope)
    with pytest.raises(StoreNotEmptyError, match=r"ckpt_path=.*overwrite=True"):
        scope["trainer"].fit(Classifier(), DataLoader(Photos()), DataLoader(Photos()))
    assert updates() == [EPOCHS] * 3


def test_a_plain_loop_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opener, _, loop, _ = blocks(README, "python")
    scope = scope_with()
    for piece in (opener, loop):
        exec(piece, scope)
    assert scope["cumulative"].shape == (32, 32)
    assert scope["number"] == 15
    assert updates() == [15] * 3
    exec(loop, scope)  # the same object goes on with its own maps
    assert updates() == [30] * 3
    # The same script again: refused, and nothing is lost.
    exec(opener, scope)
    with pytest.raises(StoreNotEmptyError, match=r"resume=True.*overwrite=True"):
        exec(loop, scope)
    assert updates() == [30] * 3


def test_all_of_it_runs_in_order_beside_a_trained_segmenter(again: Path) -> None:
    folder_of_the_readme(again)
    found = run_all(README)
    assert found["mask"].shape == (50, 64)


@pytest.mark.slow
def test_a_network_of_timm_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm", reason="needs the extra 'timm'")
    (line,) = (line for line in "".join(blocks(README, "sh")).splitlines() if "net=timm" in line)
    program, command, *words = shlex.split(line)
    assert program == "oaa"
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    rows = ["image,tags"]
    for number, tag in enumerate(["red", "blue", "red;blue"] * 2):
        pixels = np.full((70, 90, 3), 128, np.uint8)
        pixels[20:50, 10:40] = (255, 0, 0) if "red" in tag else 128
        pixels[20:50, 50:80] = (0, 0, 255) if "blue" in tag else 128
        Image.fromarray(pixels).save(f"photos/{number}.png")
        rows.append(f"{number}.png,{tag}")
    Path("tags.csv").write_text("\n".join(rows))
    said = oaa(command, *words, *AT_TOY_SIZE)
    assert said.status == 0, said.err
    assert list(Path("runs/photos/seed-0").rglob("segmenter/*/last.ckpt"))


AT_TOY_SIZE = (
    "net.weights=none", "net.stride=8", "data.input_size=64", "data.crop_size=64",
    "+net.attention.trunk.options={depths: [1,1,1,1], dims: [8,8,16,16]}",
    "+net.segmenter.trunk.options={depths: [1,1,1,1], dims: [8,8,16,16]}",
    "classifier.epochs=1", "integral.epochs=1", "segmenter.frozen_head.epochs=1", "label.workers=1",
    "store.grid=[8,8]", "background=constant", "background.value=0.1", "proxy.foreground=0",
    "proxy.minimum_foreground=0",
)  # fmt: skip


def folder_of_the_readme(work: Path) -> None:
    """Put a photo and a segmenter where the README has them, from a finished run."""
    Image.new("RGB", (64, 50)).save(work / IDS[0])
    shutil.copytree(
        work / "runs/tiny/seed-0/segmenter/oaa_max",
        work / "runs/photos/seed-0/segmenter/oaa_max-frozen_head",
    )
