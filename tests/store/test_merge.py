import shutil
import signal
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from tests.store.contract import GRID, ORDER_FREE, PAIRS, batch, fused, header_of, random_maps

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.store.fresh import new_store
from oaa_pl.store.generation import folder_of
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.merge import merge_stores
from oaa_pl.store.reader import StoreReader

ROOT = Path(__file__).parents[2]  # where `tests` can be imported from
ALL = [(0, 1), (2, 0), (2, 2), (3, 0), (3, 1), (3, 2)]
IN_ANY_ORDER = pytest.mark.parametrize("fusion", ORDER_FREE)
ORDERED = "exponential_mean(rate=0.25)"


def floats(count: int, seed: int) -> np.ndarray:
    """Attention that neither fusion keeps exactly."""
    return np.random.default_rng(seed).random((count, *GRID), dtype=np.float32)


def shown(count: int, seed: int) -> np.ndarray:
    """Cells of random crops."""
    return np.random.default_rng(seed).random((count, *GRID)) < 0.8


def machines(folder: Path, fusion: str, count: int = 3, epochs: int = 4) -> list[Path]:
    """What that many machines accumulate of the same maps as `alone`."""
    parts = [folder / f"machine-{machine}" for machine in range(count)]
    for machine, path in enumerate(parts):
        with MemmapStore(path, header_of(fusion), PAIRS) as store:
            for epoch in range(epochs):
                maps, inside = floats(6, epoch), shown(6, epoch)
                mine = [k for k in range(6) if (k + epoch) % count == machine]
                store.fuse(*batch(*(ALL[k] for k in mine)), maps[mine], inside[mine], epoch)
            store.commit()
    return parts


def alone(path: Path, fusion: str, epochs: int = 4) -> StoreReader:
    """What one machine accumulates."""
    with MemmapStore(path, header_of(fusion), PAIRS) as store:
        for epoch in range(epochs):
            store.fuse(*batch(*ALL), floats(6, epoch), shown(6, epoch), epoch)
        store.commit()
    return StoreReader(path)


def generation(path: Path) -> dict[str, bytes]:
    """Every byte of a store's only generation."""
    assert StoreReader(path).generations() == [1]
    return {file.name: file.read_bytes() for file in folder_of(path, 1).iterdir()}


def content(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


@IN_ANY_ORDER
def test_what_machines_accumulated_apart_is_what_one_accumulates(
    tmp_path: Path, fusion: str
) -> None:
    merge_stores(tmp_path / "all", machines(tmp_path, fusion))
    expected = alone(tmp_path / "alone", fusion)
    assert generation(tmp_path / "all") == generation(tmp_path / "alone")
    assert StoreReader(tmp_path / "all").header == expected.header
    assert expected.rows["updates"].tolist() == [4] * 6


def test_a_fusion_of_maps_in_order_merges_stores_of_different_pairs(tmp_path: Path) -> None:
    parts = [tmp_path / str(part) for part in range(2)]
    for part, path in enumerate(parts):
        with MemmapStore(path, header_of(ORDERED), PAIRS) as store:
            for epoch in range(3):
                mine = slice(3 * part, 3 * part + 3)
                store.fuse(*batch(*ALL[mine]), floats(6, epoch)[mine], shown(6, epoch)[mine], epoch)
            store.commit()
    merge_stores(tmp_path / "all", parts)
    alone(tmp_path / "alone", ORDERED, epochs=3)
    assert generation(tmp_path / "all") == generation(tmp_path / "alone")


@pytest.mark.parametrize("how", ["fuse", "fill"])
def test_a_fusion_of_maps_in_order_refuses_two_stores_of_one_pair(tmp_path: Path, how: str) -> None:
    parts = [tmp_path / str(part) for part in range(2)]
    for part, path in enumerate(parts):
        with MemmapStore(path, header_of(ORDERED), PAIRS) as store:
            getattr(store, how)(*batch((2, 2), ALL[part]), floats(2, part), epoch=part)
            store.commit()
    with pytest.raises(StoreError, match=r"for 1 pairs, first 'c' 'cow', .* use another fusion"):
        merge_stores(tmp_path / "all", parts)
    assert not (tmp_path / "all").exists()


@IN_ANY_ORDER
def test_the_order_of_the_parts_does_not_matter(tmp_path: Path, fusion: str) -> None:
    parts = machines(tmp_path, fusion)
    for number, order in enumerate(permutations(parts)):
        merge_stores(tmp_path / f"all-{number}", order)
        assert generation(tmp_path / f"all-{number}") == generation(tmp_path / "all-0")


@IN_ANY_ORDER
def test_merging_in_two_steps_is_merging_at_once(tmp_path: Path, fusion: str) -> None:
    first, second, third = machines(tmp_path, fusion)
    merge_stores(tmp_path / "two", [first, second])
    merge_stores(tmp_path / "three", [third, tmp_path / "two"])
    merge_stores(tmp_path / "all", [first, second, third])
    assert generation(tmp_path / "three") == generation(tmp_path / "all")


@IN_ANY_ORDER
def test_of_fallbacks_an_accepted_map_is_kept_alone_and_the_rest_is_fused(
    tmp_path: Path, fusion: str
) -> None:
    maps, accepted = floats(3, 0), floats(1, 1)
    parts = [tmp_path / str(part) for part in range(3)]
    for part, path in enumerate(parts):
        with MemmapStore(path, header_of(fusion), PAIRS) as store:
            store.fill(*batch((0, 1), (3, 2)), maps[[part, part]], epoch=part)
            if part == 1:
                store.fuse(*batch((0, 1)), accepted, epoch=7)
            store.commit()
    for number, order in enumerate(permutations(parts)):
        merge_stores(tmp_path / f"all-{number}", order)
        assert generation(tmp_path / f"all-{number}") == generation(tmp_path / "all-0")
    merged = StoreReader(tmp_path / "all-0")
    assert merged.maps(0).attention == pytest.approx(accepted, abs=1e-3)
    assert merged.maps(3).attention[2] == pytest.approx(fused(fusion, maps), abs=1e-3)
    assert merged.rows["origin"].tolist() == [ORIGIN_ACCEPTED, 0, 0, 0, 0, ORIGIN_FALLBACK]
    assert merged.rows["updates"].tolist() == [1, 0, 0, 0, 0, 0]
    assert merged.rows["last_epoch"].tolist() == [7, 0, 0, 0, 0, 2]


def test_the_newest_generation_of_each_part_is_merged(tmp_path: Path) -> None:
    maps = random_maps(3)
    for part in range(2):
        with MemmapStore(tmp_path / str(part), header_of(), PAIRS) as store:
            store.fuse(*batch((0, 1)), maps[:1] / 2)
            store.commit()
            store.fuse(*batch((0, 1)), maps[1 + part : 2 + part])
            store.commit()
    merge_stores(tmp_path / "all", [tmp_path / "0", tmp_path / "1"])
    expected = np.stack([maps[0] / 2, *maps[1:]]).max(axis=0)
    assert np.array_equal(StoreReader(tmp_path / "all").maps(0).attention[0], expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion": "running_mean"}, "made with fusion='running_mean', requested 'maximum'"),
        ({"gate": "top_k"}, "made with gate='top_k', requested 'none'"),
        ({"first_epoch": 1}, "made with first_epoch=1, requested 0"),
        ({"normalisation": "other"}, "made with normalisation='other'"),
    ],
)
def test_maps_of_another_rule_are_refused_by_name(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    parts = machines(tmp_path, "maximum", 2)
    with MemmapStore(tmp_path / "other", header_of(**{"fusion": "maximum", **changes}), PAIRS) as s:
        s.commit()
    with pytest.raises(StoreMismatchError, match=rf"machine-0 and .*other cannot .*{message}"):
        merge_stores(tmp_path / "all", [*parts, tmp_path / "other"])
    assert not (tmp_path / "all").exists()


def test_another_data_set_is_refused_by_name(tmp_path: Path) -> None:
    parts = machines(tmp_path, "maximum", 1)
    fewer = Pairs(PAIRS.ids[1:], PAIRS.classes, PAIRS.labels[1:])
    with MemmapStore(tmp_path / "other", header_of(pairs=fewer), fewer) as store:
        store.commit()
    with pytest.raises(StoreMismatchError, match=r"other belongs to another data set.*'a dog'"):
        merge_stores(tmp_path / "all", [*parts, tmp_path / "other"])
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "two or more different stores, got none"),
        (("machine-0",), "two or more different stores, got .*machine-0"),
        (("machine-0", "machine-1", "machine-0"), "different stores"),
        (("machine-0", "machine-1/../machine-0"), "different stores"),
        (("machine-0", "link"), "different stores"),
        (("machine-0", "nowhere"), "nowhere holds no attention store"),
    ],
)
def test_two_or_more_different_stores_are_merged(
    tmp_path: Path, parts: tuple[str, ...], message: str
) -> None:
    machines(tmp_path, "maximum", 2)
    (tmp_path / "link").symlink_to(tmp_path / "machine-0")
    with pytest.raises(StoreError, match=message):
        merge_stores(tmp_path / "all", [tmp_path / part for part in parts])
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("target", ["machine-0", "full", "file"])
def test_what_exists_is_refused_and_left_alone(tmp_path: Path, target: str) -> None:
    parts = machines(tmp_path, "maximum", 2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "images.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = content(tmp_path)
    with pytest.raises(StoreError, match=f"{target} already holds something"):
        merge_stores(tmp_path / target, parts)
    assert content(tmp_path) == before


def test_an_empty_folder_may_be_merged_into(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    merge_stores(tmp_path / "all", machines(tmp_path, "maximum"))
    assert StoreReader(tmp_path / "all").generation == 1


@IN_ANY_ORDER
@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
def test_a_damaged_part_is_refused_and_nothing_half_made(
    tmp_path: Path, fusion: str, name: str
) -> None:
    parts = machines(tmp_path, fusion)
    file = folder_of(parts[1], 1) / name
    sound = file.read_bytes()
    file.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    before = sorted(entry.name for entry in tmp_path.iterdir())
    with pytest.raises(StoreError, match=rf"machine-1/generations/000001/{name} is damaged"):
        merge_stores(tmp_path / "all", parts)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before
    file.write_bytes(sound)
    merge_stores(tmp_path / "all", parts)


# Merges two stores and kills itself just before the function of that name would be called.
CRASH = """
import os, signal, sys
from pathlib import Path
from oaa_pl.store import memmap, merge

folder, name = Path(sys.argv[1]), sys.argv[2]
place = {"absorb": memmap.MemmapStore, "commit": memmap.MemmapStore, "rename": Path,
         "sync_folder": merge}[name]
real = getattr(place, name)

def die(self, *args):
    if name != "rename" or self.name == ".all.partial":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *args)

setattr(place, name, die)
merge.merge_stores(folder / "all", [folder / "machine-0", folder / "machine-1"])
"""


@pytest.mark.parametrize("moment", ["absorb", "commit", "rename"])
def test_a_merge_that_was_killed_is_done_again(tmp_path: Path, moment: str) -> None:
    parts = machines(tmp_path, "maximum", 2)
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), moment],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "all").exists()
    assert (tmp_path / ".all.partial").is_dir()
    # What is left of it does not even stand in the way of another merge.
    others = machines(tmp_path / "others", "running_mean", 2)
    for again in (others, parts):
        shutil.rmtree(tmp_path / "all", ignore_errors=True)
        merge_stores(tmp_path / "all", again)
        assert not (tmp_path / ".all.partial").exists()
    alone(tmp_path / "alone", "maximum")
    assert generation(tmp_path / "all") == generation(tmp_path / "alone")


def test_a_store_that_another_process_is_making_is_not_swept_away(tmp_path: Path) -> None:
    parts = machines(tmp_path, "maximum", 2)
    with new_store(tmp_path / "all", header_of(), PAIRS) as store:
        store.fuse(*batch((0, 1)), random_maps(1))
        with pytest.raises(StoreError, match="is being written"):
            merge_stores(tmp_path / "all", parts)
    assert np.array_equal(StoreReader(tmp_path / "all").maps(0).attention, random_maps(1))


def test_stores_without_any_pair_are_merged(tmp_path: Path) -> None:
    pairs = Pairs(("a",), ("cat",), np.zeros((1, 1), bool))
    header = Header(("cat",), pairs.fingerprint, GRID, "maximum")
    for name in ("0", "1"):
        with MemmapStore(tmp_path / name, header, pairs) as store:
            store.commit()
    merge_stores(tmp_path / "all", [tmp_path / "0", tmp_path / "1"])
    assert StoreReader(tmp_path / "all").dense(0).shape == (1, *GRID)
