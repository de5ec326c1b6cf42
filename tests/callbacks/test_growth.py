from pathlib import Path

import numpy as np
import pytest
import torch
from tests.callbacks.tiny_run import EPOCHS, accumulation, data, pairs, train
from tests.modules.test_stage import classifier
from tests.modules.tiny import quiet_trainer

from oaa_pl.callbacks.growth import AttentionGrowth
from oaa_pl.store.reader import StoreReader


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("growth")
    train(folder)
    return folder


def epochs(run: Path) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(file)) for file in sorted((run / "growth").iterdir())]


def test_each_epoch_has_a_file_with_both_maps_of_each_image(run: Path) -> None:
    names = [file.name for file in sorted((run / "growth").iterdir())]
    assert names == [f"epoch-{epoch:03d}.npz" for epoch in range(EPOCHS)]
    for arrays in epochs(run):
        assert set(arrays) == {"attention-0", "attention-5", "cumulative-0", "cumulative-5"}
        for name, maps in arrays.items():
            image = int(name.split("-")[1])
            assert maps.shape == (int(pairs().labels[image].sum()), 5, 6)
            assert maps.dtype == np.float16
            assert 0 <= maps.min() <= maps.max() <= 1


def test_the_cumulative_map_is_the_maximum_of_the_epochs_so_far(run: Path) -> None:
    # The run's gate accepts every map, so nothing else decides.
    for image in (0, 5):
        so_far = np.zeros((), np.float16)
        for arrays in epochs(run):
            so_far = np.maximum(so_far, arrays[f"attention-{image}"])
            assert np.array_equal(arrays[f"cumulative-{image}"], so_far)


def test_the_last_file_shows_what_the_store_holds(run: Path) -> None:
    reader = StoreReader(run / "stores" / "most")
    for image in (0, 5):
        assert np.array_equal(
            epochs(run)[-1][f"cumulative-{image}"], reader.maps(image).attention.astype(np.float16)
        )


def test_the_epochs_own_map_is_normalised_as_the_accumulated_ones(tmp_path: Path) -> None:
    accumulate = accumulation(tmp_path, to_attention=lambda scores: torch.full_like(scores, 0.25))
    growth = AttentionGrowth(accumulate, [0], tmp_path / "growth", "most")
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[accumulate, growth])
    trainer.fit(classifier(), data())
    (arrays,) = epochs(tmp_path)
    shown = arrays["attention-0"] > 0  # the crop shows a part of the photo
    assert shown.any()
    assert (arrays["attention-0"][shown] == 0.25).all()
    assert np.array_equal(arrays["attention-0"], arrays["cumulative-0"])


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "growth" / f".0123456789abcdef.{2**22 + 1}.partial"  # no such process
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    accumulate = accumulation(tmp_path)
    growth = AttentionGrowth(accumulate, [0], tmp_path / "growth", "most")
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[accumulate, growth])
    trainer.fit(classifier(), data())
    assert [path.name for path in (tmp_path / "growth").iterdir()] == ["epoch-000.npz"]
