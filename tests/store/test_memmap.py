import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from tests.store.contract import (
    EVERY_FUSION,
    GRID,
    ORDER_FREE,
    PAIRS,
    StoreContract,
    batch,
    header_of,
    random_maps,
    snapshot,
    snapshot_without_checksums,
)

from oaa_pl.errors import StoreError, StoreMismatchError, StoreNotEmptyError
from oaa_pl.store.generation import folder_of
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader, read_identity

ALL = [(0, 1), (2, 0), (2, 2), (3, 0), (3, 1), (3, 2)]
ROOT = Path(__file__).parents[2]  # where `tests` can be imported from
BY_EVERY_FUSION = pytest.mark.parametrize("fusion", EVERY_FUSION)
ORDERED = "exponential_mean(rate=0.25)"


class TestMemmapStore(StoreContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Callable[[str], MemmapStore]]:
        made: list[MemmapStore] = []

        def make(fusion: str) -> MemmapStore:
            made.append(MemmapStore(tmp_path / str(len(made)), header_of(fusion), PAIRS))
            return made[-1]

        yield make
        for store in made:
            store.close()


def filled(path: Path, fusion: str = "maximum", epochs: int = 2) -> None:
    """A store of that many committed epochs."""
    with MemmapStore(path, header_of(fusion), PAIRS) as store:
        for epoch in range(epochs):
            store.fuse(*batch(*ALL), random_maps(6, epoch), epoch=epoch)
            store.commit()


def files(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "writer.lock"  # which has the writer's pid
    }


# One process and many


def waiting(barrier: Barrier) -> Callable[[], None]:
    def wait() -> None:
        barrier.wait()

    return wait


def accumulate_by_ranks(path: Path, fusion: str, world_size: int, epochs: int = 3) -> None:
    """Each epoch's maps are dealt to that many ranks, each with its own handle, in threads."""
    barrier = Barrier(world_size)

    def rank_work(rank: int) -> list[int]:
        store = MemmapStore(path, header_of(fusion), PAIRS, rank, world_size)
        barrier.wait()
        committed = []
        for epoch in range(epochs):
            maps = random_maps(6, epoch)
            for k in range(rank, 6, world_size):
                store.fuse(*batch(ALL[k]), maps[k : k + 1], epoch=epoch)
            committed.append(store.commit(waiting(barrier)))
        barrier.wait()
        store.close()
        return committed

    with ThreadPoolExecutor(world_size) as pool:
        generations = list(pool.map(rank_work, range(world_size)))
    assert generations == [list(range(1, epochs + 1))] * world_size


@BY_EVERY_FUSION
def test_one_two_and_four_processes_make_the_same_store(tmp_path: Path, fusion: str) -> None:
    stores = []
    for world_size in (1, 2, 4):
        accumulate_by_ranks(tmp_path / str(world_size), fusion, world_size)
        stores.append(files(tmp_path / str(world_size)))
    assert stores[0] == stores[1] == stores[2]


@pytest.mark.parametrize("fusion", ORDER_FREE)
def test_ranks_that_meet_the_same_pair_lose_no_update(tmp_path: Path, fusion: str) -> None:
    maps = random_maps(2)
    with MemmapStore(tmp_path / "alone", header_of(fusion), PAIRS) as alone:
        alone.fuse(*batch((0, 1), (0, 1)), maps, epoch=5)
        expected = snapshot_without_checksums(alone)
    ranks = [MemmapStore(tmp_path / "two", header_of(fusion), PAIRS, r, 2) for r in range(2)]
    for rank, store in enumerate(ranks):
        store.fuse(*batch((0, 1)), maps[rank : rank + 1], epoch=5)
    stage_and_commit(ranks)
    assert snapshot_without_checksums(ranks[0]) == expected
    for store in ranks:
        store.close()


def test_ranks_that_meet_one_pair_are_refused_where_the_order_of_maps_counts(
    tmp_path: Path,
) -> None:
    ranks = [MemmapStore(tmp_path, header_of(ORDERED), PAIRS, r, 2) for r in range(2)]
    for store in ranks:
        store.fuse(*batch((0, 1)), random_maps(1))
    ranks[1].commit(lambda: None)  # its part of a commit: the shard is on disk
    with pytest.raises(StoreError, match=r"first 'a' 'dog'.* see each image once per epoch"):
        ranks[0].commit(lambda: None)
    for store in ranks:
        store.close()


def stage_and_commit(ranks: list[MemmapStore]) -> None:
    barrier = Barrier(len(ranks))
    with ThreadPoolExecutor(len(ranks)) as pool:
        list(pool.map(lambda store: store.commit(waiting(barrier)), ranks))


def test_after_a_commit_the_other_ranks_start_from_nothing(tmp_path: Path) -> None:
    ranks = [MemmapStore(tmp_path, header_of("running_mean"), PAIRS, r, 2) for r in range(2)]
    ranks[1].fuse(*batch((3, 1)), random_maps(1))
    stage_and_commit(ranks)
    assert not ranks[1].state.any()
    assert ranks[0].rows["updates"].tolist() == [0, 0, 0, 0, 1, 0]
    stage_and_commit(ranks)  # or the second commit would count the map twice
    assert ranks[0].rows["updates"].tolist() == [0, 0, 0, 0, 1, 0]
    for store in ranks:
        store.close()


@BY_EVERY_FUSION
def test_another_ranks_accepted_map_makes_a_fallback_forgotten(tmp_path: Path, fusion: str) -> None:
    ranks = [MemmapStore(tmp_path, header_of(fusion), PAIRS, r, 2) for r in range(2)]
    accepted, fallback = random_maps(1, 1), random_maps(1, 2)
    ranks[0].fill(*batch((0, 1)), fallback, epoch=9)
    ranks[1].fuse(*batch((0, 1)), accepted, epoch=3)
    ranks[1].fill(*batch((3, 2)), fallback, epoch=4)
    stage_and_commit(ranks)
    assert np.array_equal(ranks[0].maps(0).attention, accepted)
    assert np.array_equal(ranks[0].maps(3).attention[2], fallback[0])
    assert ranks[0].rows["origin"].tolist() == [1, 0, 0, 0, 0, 2]
    assert ranks[0].rows["last_epoch"].tolist() == [3, 0, 0, 0, 0, 4]
    for store in ranks:
        store.close()


def test_several_ranks_cannot_commit_without_a_barrier(tmp_path: Path) -> None:
    with (
        MemmapStore(tmp_path, header_of(), PAIRS, 0, 2) as store,
        pytest.raises(StoreError, match="needs the strategy's barrier"),
    ):
        store.commit()


@pytest.mark.parametrize(("rank", "world_size"), [(-1, 1), (1, 1), (0, 0)])
def test_a_rank_outside_the_world_is_refused(tmp_path: Path, rank: int, world_size: int) -> None:
    with pytest.raises(StoreError, match=rf"rank must be in .*, got {rank}"):
        MemmapStore(tmp_path, header_of(), PAIRS, rank, world_size)


def test_every_rank_rolls_back(tmp_path: Path) -> None:
    filled(tmp_path)
    ranks = [MemmapStore(tmp_path, header_of(), PAIRS, r, 2, resume=True) for r in range(2)]
    for store in ranks:
        store.fuse(*batch((0, 1)), np.ones((1, *GRID), np.float32))
        store.roll_back(1)
    stage_and_commit(ranks)
    assert np.array_equal(StoreReader(tmp_path, 2).maps(0).attention[0], random_maps(6, 0)[0])
    for store in ranks:
        store.close()


# Crashes


# Accumulates, commits once, and kills itself at the given moment of the second commit.
CRASH = """
import os, signal, sys
from pathlib import Path
from oaa_pl.store import generation, memmap
from tests.store.contract import PAIRS, batch, header_of, random_maps

path, module, name, late = Path(sys.argv[1]), *sys.argv[2:4], sys.argv[4] == "after"
store = memmap.MemmapStore(path, header_of("running_mean"), PAIRS, keep=1)
store.fuse(*batch((0, 1)), random_maps(1, 0))
store.commit()
store.fuse(*batch((0, 1)), random_maps(1, 1))
place = {"generation": generation, "memmap": memmap, "os": os}[module]
real = getattr(place, name)

def die(*args, **kwargs):
    if late:
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(place, name, die)
store.commit()
"""


@pytest.mark.parametrize(
    ("moment", "survives"),
    [
        ("generation save_array before", 1),
        ("generation save_array after", 1),
        ("generation seal_rows before", 1),
        ("generation write_text after", 1),
        ("memmap write_generation after", 2),
        ("memmap drop before", 2),
        ("memmap drop after", 2),
    ],
)
def test_a_killed_commit_leaves_a_whole_generation(
    tmp_path: Path, moment: str, survives: int
) -> None:
    path = tmp_path / "store"
    killed = subprocess.run(
        [sys.executable, "-c", CRASH, path, *moment.split()], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert StoreReader(path).generation == survives
    # Resumed from the checkpoint before, as after a kill between commit and checkpoint, or from it.
    never = tmp_path / "never"
    with MemmapStore(never, header_of("running_mean"), PAIRS, keep=1) as store:
        for epoch in range(2):
            store.fuse(*batch((0, 1)), random_maps(1, epoch))
            store.commit()
    with MemmapStore(path, header_of("running_mean"), PAIRS, keep=1, resume=True) as store:
        store.roll_back(survives)
        if survives == 1:
            store.fuse(*batch((0, 1)), random_maps(1, 1))
            store.commit()
    if moment == "memmap write_generation after" or moment == "memmap drop before":
        shutil.rmtree(folder_of(path, 1))  # kept once more, until the next commit drops it
    assert files(path) == files(never)


def test_the_last_two_generations_are_kept(tmp_path: Path) -> None:
    filled(tmp_path, epochs=5)
    assert sorted(entry.name for entry in (tmp_path / "generations").iterdir()) == [
        "000004", "000005",
    ]  # fmt: skip


def test_what_was_not_committed_is_gone_after_closing(tmp_path: Path) -> None:
    filled(tmp_path)
    before = files(tmp_path)
    with MemmapStore(tmp_path, header_of(), PAIRS, resume=True) as store:
        store.roll_back(2)
        store.fuse(*batch((0, 1)), np.ones((1, *GRID), np.float32))
    assert files(tmp_path) == before
    assert list((tmp_path / "live").iterdir()) == []


def test_a_reopened_store_holds_what_was_committed_and_a_commit_keeps_it(tmp_path: Path) -> None:
    filled(tmp_path)
    before = StoreReader(tmp_path).maps(2)
    with MemmapStore(tmp_path, header_of("maximum"), PAIRS, resume=True) as store:
        store.commit()
    np.testing.assert_array_equal(StoreReader(tmp_path).maps(2).attention, before.attention)


def test_overwriting_drops_nothing_before_the_first_commit(tmp_path: Path) -> None:
    filled(tmp_path)
    with MemmapStore(tmp_path, header_of("maximum"), PAIRS, overwrite=True) as store:
        assert not store.state.any()
        assert store.generations() == [1, 2]
    with MemmapStore(tmp_path, header_of("maximum"), PAIRS, overwrite=True) as store:
        store.commit()
        assert store.generations() == [3]
        store.commit()
        assert store.generations() == [3, 4]


def test_a_store_that_holds_maps_is_not_begun_anew_unasked(tmp_path: Path) -> None:
    filled(tmp_path)
    before = files(tmp_path)
    ways = r"holds 6 committed maps \(generation 2\).*ckpt_path.*resume=True.*overwrite=True"
    for rank in range(2):
        with pytest.raises(StoreNotEmptyError, match=ways):
            MemmapStore(tmp_path, header_of(), PAIRS, rank, 2)
    assert files(tmp_path) == before
    with pytest.raises(StoreError, match="give one of them"):
        MemmapStore(tmp_path, header_of(), PAIRS, resume=True, overwrite=True)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"half"])
def test_maps_that_cannot_be_counted_are_not_dropped_unasked(tmp_path: Path, damage: bytes) -> None:
    filled(tmp_path)
    (folder_of(tmp_path, 2) / "rows.npy").write_bytes(damage)
    with pytest.raises(StoreNotEmptyError, match="committed maps that are damaged"):
        MemmapStore(tmp_path, header_of(), PAIRS)


def test_generations_without_a_map_are_nothing_to_lose(tmp_path: Path) -> None:
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        store.commit()
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        assert store.generations() == [1]


def test_an_older_generation_with_maps_is_something_to_lose(tmp_path: Path) -> None:
    filled(tmp_path)
    with MemmapStore(tmp_path, header_of(), PAIRS, overwrite=True) as store:
        store.commit(needed=[2])  # empty, and newer
    with pytest.raises(StoreNotEmptyError, match=r"\(generation 2\)"):
        MemmapStore(tmp_path, header_of(), PAIRS)


def test_going_back_keeps_later_generations_that_a_checkpoint_names(tmp_path: Path) -> None:
    filled(tmp_path, epochs=5)
    with MemmapStore(tmp_path, header_of(), PAIRS, keep=9, resume=True) as store:
        for _ in range(3):
            store.commit()
        store.roll_back(4, needed=[5, 7])
        assert store.generations() == [4, 5, 7]
        assert store.commit() == 8  # never the number of one that is still there


def test_live_maps_of_an_earlier_crash_are_never_read(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "live" / "rank-0.state").write_bytes(b"\xff" * 10_000)
    with MemmapStore(tmp_path, header_of(), PAIRS, overwrite=True) as store:
        assert not store.state.any()


def test_a_full_disk_is_said_before_anything_is_accumulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(StoreError, match=r"cannot reserve 144 bytes .*; free disk space"):
            MemmapStore(tmp_path, header_of(), PAIRS)
    MemmapStore(tmp_path, header_of(), PAIRS).close()  # and the lock was given back


# One writer, the right one


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with (
        MemmapStore(tmp_path, header_of(), PAIRS),
        pytest.raises(StoreError, match="is being written"),
    ):
        MemmapStore(tmp_path, header_of(), PAIRS)
    MemmapStore(tmp_path, header_of(), PAIRS).close()


def test_a_store_is_continued_by_the_same_data_and_rule_only(tmp_path: Path) -> None:
    filled(tmp_path)
    before = files(tmp_path)
    with pytest.raises(StoreMismatchError, match="made with gate='none', requested 'top_k'"):
        MemmapStore(tmp_path, header_of(gate="top_k"), PAIRS)
    fewer = Pairs(PAIRS.ids[1:], PAIRS.classes, PAIRS.labels[1:])
    with pytest.raises(StoreMismatchError, match="image 0 is 'a dog', the data set's is 'b'"):
        MemmapStore(tmp_path, header_of(pairs=fewer), fewer)
    assert files(tmp_path) == before
    with MemmapStore(tmp_path, header_of(), PAIRS, resume=True) as store:  # no lock was kept
        assert store.generations() == [1, 2]


def test_a_header_of_other_pairs_is_refused(tmp_path: Path) -> None:
    fewer = Pairs(PAIRS.ids[1:], PAIRS.classes, PAIRS.labels[1:])
    with pytest.raises(StoreError, match=r"take pairs\.fingerprint"):
        MemmapStore(tmp_path / "store", header_of(), fewer)
    assert not (tmp_path / "store").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store cannot be written .*another run folder"):
        MemmapStore(tmp_path / "file" / "store", header_of(), PAIRS)


def test_ids_beyond_ascii_are_read_back(tmp_path: Path) -> None:
    pairs = Pairs(("größe",), ("猫",), np.ones((1, 1), bool))
    MemmapStore(tmp_path, header_of(pairs=pairs), pairs).close()
    header, read = read_identity(tmp_path)
    assert (read.ids, header.classes) == (pairs.ids, pairs.classes)


def test_a_store_without_any_pair_can_be_committed_and_read(tmp_path: Path) -> None:
    pairs = Pairs(("a",), ("cat",), np.zeros((1, 1), bool))
    with MemmapStore(
        tmp_path, Header(("cat",), pairs.fingerprint, GRID, "maximum"), pairs
    ) as store:
        store.commit()
        store.roll_back(1)
    assert StoreReader(tmp_path).dense(0).shape == (1, *GRID)


# Readers


@BY_EVERY_FUSION
def test_a_reader_sees_what_was_committed(tmp_path: Path, fusion: str) -> None:
    filled(tmp_path, fusion)
    with MemmapStore(tmp_path, header_of(fusion), PAIRS, resume=True) as store:
        store.roll_back(2)
        reader = StoreReader(tmp_path)
        assert snapshot(reader) == snapshot(store)
        store.fuse(*batch((0, 1)), np.ones((1, *GRID), np.float32))  # seen after a commit only
        assert snapshot(reader) == snapshot(StoreReader(tmp_path))
        store.commit()
        assert snapshot(StoreReader(tmp_path)) == snapshot_of_generation(tmp_path, 3)
    assert reader.generation == 2


def snapshot_of_generation(path: Path, generation: int) -> tuple[bytes, bytes]:
    return snapshot(StoreReader(path, generation))


def test_a_reader_may_ask_for_an_earlier_generation(tmp_path: Path) -> None:
    filled(tmp_path, "running_mean")
    assert StoreReader(tmp_path, 1).rows["updates"].tolist() == [1] * 6
    assert StoreReader(tmp_path).rows["updates"].tolist() == [2] * 6
    with pytest.raises(StoreError, match=r"no generation 3; it has \[1, 2\]"):
        StoreReader(tmp_path, 3)


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    filled(tmp_path)
    reader = StoreReader(tmp_path)
    with pytest.raises(StoreError, match="open for reading"):
        reader.commit()
    with pytest.raises(StoreError, match="open for reading"):
        reader.roll_back(1)
    with pytest.raises(ValueError, match="read-only"):
        reader.fuse(*batch((0, 1)), random_maps(1))
    assert reader.generations() == [1, 2]


def test_a_pickled_reader_is_small_and_opens_the_same_generation(tmp_path: Path) -> None:
    filled(tmp_path)
    reader = StoreReader(tmp_path)
    with MemmapStore(tmp_path, header_of(), PAIRS, overwrite=True) as store:
        store.commit(needed=[2])  # empty, and newer
    again = pickle.loads(pickle.dumps(reader))
    assert again.generation == 2
    assert snapshot(again) == snapshot(reader)
    assert len(pickle.dumps(reader)) < 4000


def test_a_spawned_worker_reads_the_same_maps(tmp_path: Path) -> None:
    filled(tmp_path)
    reader = StoreReader(tmp_path)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        dense = pool.submit(reader.dense, 3).result()
    assert np.array_equal(dense, reader.dense(3))


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_or_short_file_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    filled(tmp_path)
    file = folder_of(tmp_path, 2) / name
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-3] ^= 4
    else:
        del content[-1]
    file.write_bytes(content)
    with pytest.raises(StoreError, match=rf"000002/{name} .*oaa store verify"):
        StoreReader(tmp_path)
    with pytest.raises(StoreError, match=rf"000002/{name} .*oaa store verify"):
        MemmapStore(tmp_path, header_of(), PAIRS, resume=True)
    with MemmapStore(tmp_path, header_of(), PAIRS, overwrite=True) as store:
        with pytest.raises(StoreError, match=rf"000002/{name}"):
            store.roll_back(2)
        store.roll_back(1)  # what is whole can still be gone back to
    assert StoreReader(tmp_path, 1).generation == 1


def test_a_newer_store_is_refused_by_reader_and_writer(tmp_path: Path) -> None:
    filled(tmp_path)
    header = tmp_path / "header.json"
    header.write_text(header.read_text().replace('"version": 1', '"version": 5'))
    with pytest.raises(StoreError, match="has store version 5"):
        StoreReader(tmp_path)
    with pytest.raises(StoreError, match="has store version 5"):
        MemmapStore(tmp_path, header_of(), PAIRS)


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no attention store; make one with 'oaa fit'"):
        StoreReader(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="holds no attention store"):
        StoreReader(tmp_path / "file")


def test_a_store_that_nobody_committed_is_refused(tmp_path: Path) -> None:
    MemmapStore(tmp_path, header_of(), PAIRS).close()
    with pytest.raises(StoreError, match="has no committed generation; let the training finish"):
        StoreReader(tmp_path)


def test_a_list_of_images_that_was_edited_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    images = tmp_path / "images.txt"
    images.write_text(images.read_text().replace("a dog", "a cat"))
    with pytest.raises(StoreError, match=r"images\.txt is damaged: it does not match the header"):
        StoreReader(tmp_path)
    images.write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="is damaged"):
        StoreReader(tmp_path)
