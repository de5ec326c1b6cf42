"""Attention drop: what is hidden of which photos, in plain loops, and the same after a crash."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from tests.callbacks.test_resume import CrashError, assert_same_run, crash, kept
from tests.callbacks.tiny_run import At, accumulation, pairs, train
from tests.commands.tiny import inside, oaa, require_refusal, words
from tests.modules.tiny import quiet_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from oaa_pl.attention.gate import accept_all
from oaa_pl.attention.view import apply_view
from oaa_pl.callbacks.accumulate import AttentionAccumulation
from oaa_pl.callbacks.attention_drop import AttentionDrop
from oaa_pl.errors import ConfigError
from oaa_pl.store.generation import folder_of
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

pytestmark = pytest.mark.usefixtures("one_thread")

# Lightning's advice to the stranger, and torch's about what Lightning calls.
ADVISED = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

THRESHOLD = 0.6
FREE = 1e-4  # nearer to the threshold, float32 may decide either way


class Watch(Callback):
    """Keeps the images of each step as the network gets them, the cumulative maps of the last
    epoch, and the bias before and the score map after the step."""

    def __init__(self) -> None:
        self.images: dict[tuple[int, int], Tensor] = {}
        self.views: dict[tuple[int, int], Tensor] = {}
        self.strongest: dict[tuple[int, int], np.ndarray] = {}
        self.scores: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        store = store_of(trainer)
        for index in range(len(store.pairs.ids)):
            attention = store.maps(index).attention
            self.strongest[trainer.current_epoch, index] = attention.max(axis=0)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.bias = pl_module.net.head.bias.detach().clone()  # type: ignore[union-attr, operator]
        for place, index in enumerate(batch["index"].tolist()):
            self.images[trainer.current_epoch, index] = batch["image"][place].clone()
            self.views[trainer.current_epoch, index] = batch["view"][place].clone()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for place, index in enumerate(batch["index"].tolist()):
            score_map = outputs["score_map"][place].clone()
            self.scores[trainer.current_epoch, index] = score_map, self.bias


def store_of(trainer: Trainer) -> MemmapStore:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    (found,) = (one for one in callbacks if isinstance(one, AttentionAccumulation))
    return found.stores["most"]


def drop(**changes: Any) -> AttentionDrop:
    return AttentionDrop(**({"rate": 1.0, "threshold": THRESHOLD, "seed": 5} | changes))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch]:
    folder, watch = tmp_path_factory.mktemp("plain"), Watch()
    train(folder, watch)
    return folder, watch


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch]:
    folder, watch = tmp_path_factory.mktemp("dropped"), Watch()
    train(folder, drop(), watch)
    return folder, watch


def seen_at(grid: np.ndarray, view: np.ndarray, side: tuple[int, int]) -> Iterator[float]:
    """What each pixel of a view shows of a map over the whole photo, in plain loops."""
    height, width = grid.shape
    back = np.linalg.inv(np.vstack([view, [0, 0, 1]]))
    for row in range(side[0]):
        for column in range(side[1]):
            here = np.array([(2 * column + 1) / side[1] - 1, (2 * row + 1) / side[0] - 1, 1])
            x, y, _ = back @ here
            u = min(max((x + 1) * width / 2 - 0.5, 0), width - 1)
            v = min(max((y + 1) * height / 2 - 0.5, 0), height - 1)
            left, above = int(u), int(v)
            value = 0.0
            for i, down in ((above, 1 - v + above), (above + 1, v - above)):
                for j, across in ((left, 1 - u + left), (left + 1, u - left)):
                    if down > 0 and across > 0:
                        value += down * across * grid[i, j]
            yield value


def test_pixels_are_hidden_where_the_last_epochs_maps_were_strong_in_plain_loops(
    plain: tuple[Path, Watch], dropped: tuple[Path, Watch]
) -> None:
    whole, hidden = plain[1], dropped[1]
    counts = {True: 0, False: 0}
    for (epoch, index), image in hidden.images.items():
        assert torch.equal(hidden.views[epoch, index], whole.views[epoch, index])
        grid = hidden.strongest[epoch, index]
        shown = seen_at(grid, hidden.views[epoch, index].double().numpy(), (12, 12))
        for place, strength in enumerate(shown):
            if abs(strength - THRESHOLD) > FREE:
                above = strength > THRESHOLD
                counts[above] += 1
                pixel = whole.images[epoch, index].flatten(1)[:, place]
                assert torch.equal(image.flatten(1)[:, place], torch.zeros(3) if above else pixel)
    assert min(counts.values()) > 500


def test_nothing_is_hidden_before_the_first_accumulation(
    plain: tuple[Path, Watch], dropped: tuple[Path, Watch]
) -> None:
    first = [at for at in dropped[1].images if at[0] == 0]
    assert len(first) == 7
    assert all(torch.equal(dropped[1].images[at], plain[1].images[at]) for at in first)
    later = [at for at in dropped[1].images if at[0] > 0]
    assert sum(not torch.equal(dropped[1].images[at], plain[1].images[at]) for at in later) > 8


def test_a_training_that_draws_no_photo_is_the_training_without(
    plain: tuple[Path, Watch], tmp_path: Path
) -> None:
    train(tmp_path, drop(rate=0.0))
    assert kept(tmp_path) == kept(plain[0])
    for name in ("most", "mean"):
        for file in ("state.npy", "rows.npy"):
            here, there = (folder_of(f / "stores" / name, 4) / file for f in (tmp_path, plain[0]))
            assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("layer", "hook"), [(None, "on_train_batch_end"), ("net.trunk", "on_train_epoch_end")]
)
def test_a_crashed_and_resumed_training_hides_the_same(
    tmp_path: Path, layer: str | None, hook: str
) -> None:
    train(tmp_path / "never", drop(rate=0.5, layer=layer))
    with pytest.raises(CrashError, match="as planned"):
        train(tmp_path / "crashed", drop(rate=0.5, layer=layer), At(hook, 2, crash))
    train(tmp_path / "crashed", drop(rate=0.5, layer=layer))
    assert_same_run(tmp_path / "crashed", tmp_path / "never")


def test_features_of_a_layer_are_hidden_and_their_cells_have_no_evidence(
    plain: tuple[Path, Watch], tmp_path: Path
) -> None:
    watch = Watch()
    train(tmp_path, drop(layer="net.trunk"), watch)
    cells = 0
    for (epoch, index), (score_map, bias) in watch.scores.items():
        assert torch.equal(watch.images[epoch, index], plain[1].images[epoch, index])
        grid = torch.from_numpy(watch.strongest[epoch, index])[None, None]
        seen = apply_view(grid, watch.views[epoch, index][None], (6, 6))[0, 0]
        hidden = seen > THRESHOLD
        cells += int(hidden.sum())
        # The class-aware layer adds its bias to features of 0.
        assert torch.equal(score_map[:, hidden], bias[:, None].expand(-1, int(hidden.sum())))
    assert cells > 100


def test_which_photos_are_drawn_depends_on_seed_epoch_and_photo_alone(
    dropped: tuple[Path, Watch],
) -> None:
    maps = StoreReader(dropped[0] / "stores/most")
    half = drop(rate=0.5)

    def drawn(index: list[int], epoch: int, callback: AttentionDrop = half) -> list[bool]:
        strongest = callback._strongest(maps, torch.tensor(index), epoch)
        return [bool(one.any()) for one in strongest]

    there, back = drawn([0, 1, 2, 3, 4, 5, 6], 3), drawn([6, 5, 4, 3, 2, 1, 0], 3)
    assert there == back[::-1]
    everything = [one for epoch in range(60) for one in drawn([*range(7)], epoch)]
    assert 0.4 < np.mean(everything) < 0.6
    other = drop(rate=0.5, seed=6)
    assert everything != [one for epoch in range(60) for one in drawn([*range(7)], epoch, other)]


class Strangers(LightningModule):
    """A pooled network whose batches are tuples and whose step returns its loss alone."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 3)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.fc(self.features(batch[0]).mean(dim=(2, 3))).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def strangers_fit(folder: Path, **how: Any) -> AttentionAccumulation:
    images = torch.rand(7, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(pairs().labels.astype(np.float32))
    batches = DataLoader([*zip(images, labels, torch.arange(7), strict=True)], batch_size=3)
    callback = accumulation(
        folder, layer="features", head="fc", keep_empty=True, gate=accept_all,
        read_batch=lambda batch: {"labels": batch[1], "index": batch[2]},
    )  # fmt: skip
    trainer = quiet_trainer(folder, max_epochs=2, callbacks=[callback, drop(threshold=0.5, **how)])
    trainer.fit(Strangers(), batches)
    return callback


@ADVISED
def test_a_strangers_module_hides_features_and_accumulates_what_is_left(tmp_path: Path) -> None:
    strangers_fit(tmp_path, layer="features")
    store = tmp_path / "stores/mean"
    first, both = (StoreReader(store, n) for n in (1, 2))
    assert (both.rows["updates"] == 2).all()
    # The second epoch's map of a hidden cell is that of the bias: equal over all hidden cells.
    second = both.state[:, 0].astype(int) - first.state[:, 0].astype(int)  # sums
    strong = StoreReader(tmp_path / "stores/most", 1)
    checked = 0
    for index in range(7):
        categories, attention = strong.maps(index)
        hidden = attention.max(axis=0) > 0.5 + 1e-3
        images = np.full(len(categories), index)
        for row in strong.pairs.rows_of(images, categories):
            assert len(set(second[row][hidden].tolist())) <= 1
            checked += int(hidden.sum())
    assert checked > 20


@ADVISED
def test_a_batch_without_an_image_by_name_needs_a_layer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dict with 'image' .* give AttentionDrop\(layer="):
        strangers_fit(tmp_path)


def test_a_trainer_that_accumulates_nothing_is_refused_unless_it_may(tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, callbacks=[])
    with pytest.raises(ConfigError, match="add AttentionAccumulation"):
        drop().on_fit_start(trainer, Strangers())
    quiet = drop(only_with_accumulation=True)
    quiet.on_fit_start(trainer, Strangers())
    quiet.on_train_epoch_start(trainer, Strangers())
    quiet.on_train_batch_start(trainer, Strangers(), (), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 1.5}, r"rate of the attention drop must be in \[0, 1\], got 1.5"),
        ({"threshold": -0.1}, r"threshold of the attention drop must be"),
        ({"rate": float("nan")}, r"rate of the attention drop"),
        ({"rate": "often"}, r"rate of the attention drop must be in .* got 'often'"),
        ({"seed": -1}, r"seed of the attention drop"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        drop(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": "best"}, r"store of the attention drop must be one of most, mean, got 'best'"),
        ({"layer": "net.trunks"}, r"has no layer 'net.trunks'; the nearest are net.trunk"),
    ],
)
def test_a_store_or_layer_that_does_not_exist_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(tmp_path, drop(**changes))


@pytest.mark.slow
def test_the_command_hides_and_records_it(tiny_voc_once: Path, tmp_path: Path) -> None:
    chosen = (*words(tiny_voc_once), "gate=none")
    with inside(tmp_path):
        done = oaa("fit", *chosen, "callbacks=attention_drop")
        assert done.status == 0, done.err
        require_refusal(oaa("fit", *chosen), "callbacks")
    stage = tmp_path / "runs/tiny/seed-0/classifier"
    (recorded,) = json.loads((stage / "stage.json").read_text())["made_from"]["trainer"][
        "callbacks"
    ]
    assert (recorded["rate"], recorded["threshold"], recorded["seed"]) == (0.5, 0.6, 0)
    with (stage / "history.csv").open(newline="") as file:
        shares = [
            float(row["value"]) for row in csv.DictReader(file) if row["name"] == "oaa/dropped"
        ]
    assert shares[0] == 0  # before the first accumulation
    assert 0 < shares[1] < 1
