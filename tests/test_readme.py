"""The pieces of Python in the README work as they are printed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from tests.readme_scope import EPOCHS, IDS, Classifier, Photos, blocks, run_all, scope_with
from torch.utils.data import DataLoader

from oaa_pl.attention.gate import accept_all
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
    scope["trainer"].callbacks[0].gate = accept_all
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


def folder_of_the_readme(work: Path) -> None:
    """Put a photo and a segmenter where the README has them, from a finished run."""
    Image.new("RGB", (64, 50)).save(work / IDS[0])
    shutil.copytree(
        work / "runs/tiny/seed-0/segmenter/oaa_max",
        work / "runs/photos/seed-0/segmenter/oaa_plus_hybrid",
    )
