"""A stranger's Trainer: whatever its settings, each row has the updates that a plain loop counts.

The module counts for itself how often it has returned a map of each image, and keeps the count in
its checkpoints: the store must agree with it after every way to train, fail, resume and restart.
"""

import importlib
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.errors import ConfigError, StoreMismatchError, StoreNotEmptyError
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

IDS, CLASSES, EPOCHS = tuple("abcdefg"), ("cat", "dog"), 5
LABELS = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1], [1, 0]], bool)
PAIRS = Pairs(IDS, CLASSES, LABELS)
HEADER = Header(CLASSES, PAIRS.fingerprint, (4, 4), "running_mean", gate="accept_all")

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Lightning's advice to the stranger
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(params=["pytorch_lightning", "lightning.pytorch"])
def lightning(request: pytest.FixtureRequest) -> ModuleType:
    return package(request.param)


def package(name: str) -> ModuleType:
    pytest.importorskip(name, reason="pip install lightning, the other package of Lightning")
    return importlib.import_module(name)


class Photos(torch.utils.data.Dataset[dict[str, Any]]):
    """As somebody's data set may be: it knows neither views nor padding copies."""

    def __len__(self) -> int:
        return len(IDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(index))
        labels = torch.from_numpy(LABELS[index].astype(np.float32))
        return {"image": image, "labels": labels, "index": index}


def loader() -> DataLoader[dict[str, Any]]:
    return DataLoader(Photos(), batch_size=2, shuffle=True)


class CrashError(Exception):
    pass


class Counting:
    """What a stranger's classifier does in either package; fails once at a place: "2.train"."""

    def __init__(self, at: str = "", skip: bool = False, by_hand: bool = False) -> None:
        super().__init__()
        self.at, self.skip = at, skip
        self.net = torch.nn.Conv2d(3, 2, 1)
        self.seen: Counter[int] = Counter()
        self.automatic_optimization = not by_hand

    def training_step(self: Any, batch: dict[str, Any], batch_idx: int) -> Any:
        self.fail("train", batch_idx == 2)
        if self.skip and batch_idx % 2:
            return None
        score_map = self.net(batch["image"]).float()
        self.seen.update(batch["index"].tolist())
        loss, kept = score_map.mean(), score_map.detach().abs() + 0.1
        if self.automatic_optimization:
            return {"loss": loss, "score_map": kept}
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return {"score_map": kept}

    def validation_step(self: Any, batch: dict[str, Any], batch_idx: int) -> None:
        self.fail("validate", batch_idx == 1)
        score = -abs(self.current_epoch - 1)  # the second epoch is the best
        self.log("val/map", float(score), batch_size=2)

    def on_train_epoch_end(self) -> None:
        self.fail("epoch_end", True)

    def fail(self: Any, hook: str, here: bool) -> None:
        if here and self.at == f"{self.current_epoch}.{hook}":
            self.at = ""
            raise CrashError("as planned")

    def configure_optimizers(self: Any) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["seen"] = dict(self.seen)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.seen = Counter(checkpoint["seen"])


def module_of(lightning: ModuleType, *arguments: Any, **more: Any) -> Any:
    """A classifier for that package of Lightning."""
    return type("Stranger", (Counting, lightning.LightningModule), {})(*arguments, **more)


def callback(folder: Path, **settings: Any) -> AttentionAccumulation:
    opener = partial(MemmapStore, folder / "maps", HEADER, PAIRS)
    return AttentionAccumulation(opener, gate=accept_all, **settings)


def fit(
    lightning: ModuleType,
    folder: Path,
    module: Any,
    *callbacks: Any,
    ckpt_path: Path | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Any:
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, default_root_dir=folder, enable_model_summary=False,
        enable_progress_bar=False, callbacks=[callback(folder, overwrite=overwrite), *callbacks],
        **{"max_epochs": EPOCHS} | settings,
    )  # fmt: skip
    trainer.fit(module, loader(), loader(), ckpt_path=ckpt_path)
    return trainer


def assert_counted(folder: Path, module: Any) -> None:
    rows = StoreReader(folder / "maps").rows
    assert rows["updates"].tolist() == [module.seen[image] for image, _ in PAIRS.pairs.tolist()]


def policies(lightning: ModuleType, folder: Path) -> dict[str, Callable[[], list[Any]]]:
    make = partial(lightning.callbacks.ModelCheckpoint, folder / "kept")
    return {
        "no checkpoints": list,
        "Lightning's own": lambda: [make()],
        "the best": lambda: [make(monitor="val/map", mode="max", save_top_k=1)],
        "the best, a slash in the name": lambda: [
            make("{epoch}-{val/map:.2f}", monitor="val/map", mode="max", save_top_k=2)
        ],
        "every third epoch": lambda: [make(every_n_epochs=3)],
        "weights alone": lambda: [make(save_weights_only=True)],
        "all, and the last": lambda: [make("{epoch}", save_top_k=-1, save_last=True)],
        "inside epochs": lambda: [make("{step}", every_n_train_steps=3, save_top_k=-1)],
        "by the clock": lambda: [make(train_time_interval=timedelta(milliseconds=1))],
        "on an exception": lambda: [make("{epoch}-{step}", save_on_exception=True, save_top_k=-1)],
        "another ending": lambda: [ending(make, ".pt")],
    }  # fmt: skip


def ending(make: Callable[..., Any], suffix: str) -> Any:
    checkpoint = make("{epoch}", save_top_k=-1)
    checkpoint.FILE_EXTENSION = suffix
    return checkpoint


POLICIES = (
    "no checkpoints", "Lightning's own", "the best", "the best, a slash in the name",
    "every third epoch", "weights alone", "all, and the last", "inside epochs", "by the clock",
    "on an exception", "another ending",
)  # fmt: skip


def resumable(folder: Path) -> list[Path]:
    """Checkpoints from which Lightning can go on, the newest last."""
    found = []
    for path in (folder / "kept").rglob("*.*"):
        content = torch.load(path, weights_only=False)
        if "optimizer_states" in content:
            inside = not content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"]
            found.append((content["global_step"], inside, path))
    return [path for _, inside, path in sorted(found) if not inside]


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gradients of three batches": {"accumulate_grad_batches": 3},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "bf16-true": {"precision": "bf16-true"},
    "64-true": {"precision": "64-true"},
    "no checkpointing": {"enable_checkpointing": False},
    "fast_dev_run": {"fast_dev_run": True},
    "two batches an epoch": {"limit_train_batches": 2},
    "steps that end inside an epoch": {"max_epochs": -1, "max_steps": 6},
    "validation within the epoch": {"val_check_interval": 2},
    "clipped gradients": {"gradient_clip_val": 0.5},
}


@pytest.mark.parametrize("how", SETTINGS)
@pytest.mark.slow
def test_whatever_the_trainer_does_each_map_counts_once(
    tmp_path: Path, lightning: ModuleType, how: str
) -> None:
    module = module_of(lightning)
    fit(lightning, tmp_path, module, **SETTINGS[how])
    assert sum(module.seen.values()) > 0
    assert_counted(tmp_path, module)


@pytest.mark.parametrize("kind", [{"skip": True}, {"by_hand": True}], ids=str)
@pytest.mark.slow
def test_steps_that_skip_or_optimise_by_hand_count_as_they_return(
    tmp_path: Path, lightning: ModuleType, kind: dict[str, bool]
) -> None:
    module = module_of(lightning, **kind)
    fit(lightning, tmp_path, module)
    assert_counted(tmp_path, module)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.slow
def test_whatever_is_checkpointed_no_epoch_is_lost(
    tmp_path: Path, lightning: ModuleType, policy: str
) -> None:
    module = module_of(lightning)
    fit(lightning, tmp_path, module, *policies(lightning, tmp_path)[policy]())
    assert set(module.seen.values()) == {EPOCHS}
    assert_counted(tmp_path, module)
    before = StoreReader(tmp_path / "maps").rows.tobytes()
    # The script again, unchanged: nothing is lost.
    with pytest.raises(StoreNotEmptyError, match="overwrite=True"):
        fit(lightning, tmp_path, module_of(lightning), *policies(lightning, tmp_path)[policy]())
    assert StoreReader(tmp_path / "maps").rows.tobytes() == before
    # Every checkpoint that can be resumed has its generation.
    for number, path in enumerate(resumable(tmp_path)):
        longer = module_of(lightning)
        fit(lightning, tmp_path, longer, ckpt_path=path, max_epochs=EPOCHS + 1)
        assert_counted(tmp_path, longer)
        assert set(longer.seen.values()) == {EPOCHS + 1}, number
    # And anew, by word.
    anew = module_of(lightning)
    fit(lightning, tmp_path, anew, overwrite=True, max_epochs=1)
    assert_counted(tmp_path, anew)
    assert len(committed(tmp_path / "maps")) == 1


@pytest.mark.parametrize("at", ["0.train", "2.train", "2.validate", "2.epoch_end"])
@pytest.mark.parametrize("policy", ["all, and the last", "on an exception", "the best", "none"])
@pytest.mark.slow
def test_whatever_fails_what_is_resumed_has_each_map_once(
    tmp_path: Path, lightning: ModuleType, policy: str, at: str
) -> None:
    made = policies(lightning, tmp_path).get(policy, list)
    module = module_of(lightning, at)
    with pytest.raises(CrashError, match="as planned"):
        fit(lightning, tmp_path, module, *made(), num_sanity_val_steps=0)
    assert_counted(tmp_path, module)  # also what came after the last checkpoint
    again = module_of(lightning)
    if (tmp_path / "kept").exists() and (checkpoints := resumable(tmp_path)):
        fit(lightning, tmp_path, again, *made(), ckpt_path=checkpoints[-1])
    else:
        with pytest.raises(StoreNotEmptyError, match=r"holds .* committed maps"):
            fit(lightning, tmp_path, module_of(lightning), *made())
        fit(lightning, tmp_path, again, *made(), overwrite=True)
    assert set(again.seen.values()) == {EPOCHS}
    assert_counted(tmp_path, again)


@pytest.mark.slow
def test_a_checkpoint_inside_an_epoch_is_refused_or_gone_on_from_by_word(
    tmp_path: Path, lightning: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = policies(lightning, tmp_path)["inside epochs"]()
    fit(lightning, tmp_path, module_of(lightning), *checkpoint, max_epochs=1)
    assert "writes checkpoints inside epochs" in caplog.text
    assert "add ModelCheckpoint(every_n_epochs=1, save_on_train_epoch_end=True)" in caplog.text
    (inside,) = (tmp_path / "kept").iterdir()
    before = StoreReader(tmp_path / "maps").rows.tobytes()
    with pytest.raises(ConfigError, match=r"middle of an epoch.*resume_inside_epoch=True"):
        fit(lightning, tmp_path, module_of(lightning), ckpt_path=inside)
    assert StoreReader(tmp_path / "maps").rows.tobytes() == before
    module = module_of(lightning)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, max_epochs=EPOCHS,
        callbacks=[callback(tmp_path, resume_inside_epoch=True)],
    )  # fmt: skip
    trainer.fit(module, loader(), ckpt_path=inside)
    assert_counted(tmp_path, module)


@pytest.mark.slow
def test_a_checkpoint_saved_by_hand_elsewhere_keeps_its_generation(
    tmp_path: Path, lightning: ModuleType
) -> None:
    class ByHand(lightning.Callback):  # type: ignore[name-defined, misc]
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "elsewhere" / "mine.bin")

    module = module_of(lightning)
    trainer = fit(lightning, tmp_path, module, ByHand(), enable_checkpointing=False)
    trainer.save_checkpoint(tmp_path / "after.state")
    for path in (tmp_path / "elsewhere" / "mine.bin", tmp_path / "after.state"):
        again = module_of(lightning)
        fit(lightning, tmp_path, again, ckpt_path=path, max_epochs=EPOCHS + 1)
        assert set(again.seen.values()) == {EPOCHS + 1}
        assert_counted(tmp_path, again)


@pytest.mark.slow
def test_a_checkpoint_from_before_the_callback_begins_with_empty_stores(
    tmp_path: Path, lightning: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, max_epochs=2,
        callbacks=[lightning.callbacks.ModelCheckpoint(tmp_path / "kept")],
    )  # fmt: skip
    trainer.fit(module_of(lightning), loader())
    (path,) = (tmp_path / "kept").iterdir()
    module = module_of(lightning)
    with caplog.at_level(logging.WARNING):
        fit(lightning, tmp_path, module, ckpt_path=path)
    assert "made without these stores: they begin empty" in caplog.text
    assert set(StoreReader(tmp_path / "maps").rows["updates"].tolist()) == {EPOCHS - 2}
    with pytest.raises(StoreNotEmptyError, match="overwrite=True"):  # nor does it empty full ones
        fit(lightning, tmp_path, module_of(lightning), ckpt_path=path)


@pytest.mark.slow
def test_fitting_longer_with_the_same_trainer_goes_on(
    tmp_path: Path, lightning: ModuleType
) -> None:
    module = module_of(lightning)
    trainer = fit(lightning, tmp_path, module, max_epochs=2)
    trainer.fit_loop.max_epochs = 4
    trainer.fit(module, loader())
    assert set(module.seen.values()) == {4}
    assert_counted(tmp_path, module)


@pytest.mark.slow
def test_a_checkpoint_whose_maps_were_not_at_hand_is_refused(
    tmp_path: Path, lightning: ModuleType
) -> None:
    module = module_of(lightning)
    trainer = fit(lightning, tmp_path, module, max_epochs=1)
    trainer.callbacks[0]._stores.committed = None  # as in the process that spawned the training's
    trainer.save_checkpoint(tmp_path / "after.ckpt")
    with pytest.raises(StoreMismatchError, match="written where its maps were not available"):
        fit(lightning, tmp_path, module_of(lightning), ckpt_path=tmp_path / "after.ckpt")
    assert_counted(tmp_path, module)
