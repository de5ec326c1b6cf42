import os
import shutil
from math import log2
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.errors import StoreError
from oaa_pl.store import changes as changes_file
from oaa_pl.store.damage import examine
from oaa_pl.store.exchange import export_maps, import_maps
from oaa_pl.store.generation import folder_of, open_generation
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader, read_identity
from oaa_pl.store.seal import change_files

GRID, ROWS = (4, 5), 64
PAIRS = Pairs(tuple(f"image-{n}" for n in range(ROWS)), ("cat",), np.ones((ROWS, 1), bool))


@pytest.fixture(autouse=True)
def small_stores_have_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_file, "SMALLEST", 0)


@pytest.fixture(params=["maximum", "running_mean"])
def header(request: pytest.FixtureRequest) -> Header:
    return Header(PAIRS.classes, PAIRS.fingerprint, GRID, request.param)


def fuse(store: MemmapStore, *rows: int, seed: int = 0) -> None:
    maps = np.random.default_rng(seed).random((len(rows), *GRID), np.float32)
    store.fuse(np.array(rows, np.int64), np.zeros(len(rows), np.int64), maps, epoch=seed)


def layers(store: Path, generation: int) -> list[str]:
    return change_files(file.name for file in folder_of(store, generation).iterdir())


def content(store: Path, generation: int) -> tuple[bytes, bytes]:
    reader = StoreReader(store, generation)
    return np.asarray(reader.state).tobytes(), reader.rows.tobytes()


def commits(path: Path, header: Header) -> None:
    """Three generations: of all rows, of two other ones, and of one more."""
    with MemmapStore(path, header, PAIRS, keep=9) as store:
        for seed, rows in enumerate((range(ROWS), (3, 40), (7,))):
            fuse(store, *rows, seed=seed)
            store.commit()


@pytest.fixture
def store(tmp_path: Path, header: Header) -> Path:
    commits(tmp_path / "store", header)
    return tmp_path / "store"


def test_a_commit_writes_the_rows_that_changed_and_links_the_others(store: Path) -> None:
    assert [layers(store, generation) for generation in (1, 2, 3)] == [
        [], ["changes-000002.npy"], ["changes-000003.npy"],
    ]  # fmt: skip
    states = {folder_of(store, generation) / "state.npy" for generation in (1, 2, 3)}
    assert len({state.stat().st_ino for state in states}) == 1
    changed = np.load(folder_of(store, 3) / "changes-000003.npy")
    assert changed["row"].tolist() == [3, 7, 40]  # the smaller file before it is in this one


def test_every_generation_reads_as_if_it_were_whole(
    store: Path, tmp_path: Path, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_file, "SMALLEST", 1 << 60)
    commits(tmp_path / "whole", header)
    assert not layers(tmp_path / "whole", 3)
    for generation in (1, 2, 3):
        assert content(store, generation) == content(tmp_path / "whole", generation)
    assert StoreReader(store).state.flags.writeable is False


def test_what_a_reader_puts_together_stays_small(tmp_path: Path, header: Header) -> None:
    random, whole = np.random.default_rng(0), 0
    with MemmapStore(tmp_path, header, PAIRS) as store:
        fuse(store, *range(ROWS))
        for seed in range(60):
            fuse(store, *random.choice(ROWS, 1 + seed % 5, replace=False), seed=seed)
            generation = store.commit()
            found = layers(tmp_path, generation)
            sizes = [len(np.load(folder_of(tmp_path, generation) / name)) for name in found]
            assert sum(sizes) <= ROWS // 4
            assert len(sizes) <= log2(ROWS)
            whole += not sizes
            reader = StoreReader(tmp_path)
            assert np.array_equal(reader.state, store.state)
            assert np.array_equal(reader.rows, store.rows)
    assert 2 <= whole <= 20  # so both ways to write were tried


def test_a_commit_without_changes_writes_no_state(store: Path, header: Header) -> None:
    with MemmapStore(store, header, PAIRS, resume=True) as written:
        assert written.commit() == 4
    assert layers(store, 4) == layers(store, 3)
    assert content(store, 4) == content(store, 3)


def test_a_generation_outlives_the_one_it_rests_on(store: Path, header: Header) -> None:
    before = content(store, 3)
    for older in (1, 2):
        shutil.rmtree(folder_of(store, older))
    assert content(store, 3) == before
    with MemmapStore(store, header, PAIRS, resume=True) as written:
        written.roll_back(3)
        fuse(written, 9, seed=9)
        written.commit()
    assert content(store, 3) == before


def test_the_same_steps_make_the_same_bytes_after_a_return(
    store: Path, tmp_path: Path, header: Header
) -> None:
    with MemmapStore(store, header, PAIRS, resume=True, keep=9) as written:
        fuse(written, 11, 12, seed=5)
        written.roll_back(2)
        fuse(written, 7, seed=2)
        written.commit()
    commits(tmp_path / "never", header)
    for file in folder_of(tmp_path / "never", 3).iterdir():
        assert (folder_of(store, 3) / file.name).read_bytes() == file.read_bytes()


def test_a_copy_without_links_is_as_good(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "copy")
    shutil.rmtree(store)
    assert StoreReader(tmp_path / "copy", 2).rows["updates"].sum() == ROWS + 2


def test_a_file_system_without_links_gets_whole_generations(
    tmp_path: Path, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    commits(tmp_path, header)
    assert [layers(tmp_path, generation) for generation in (1, 2, 3)] == [[], [], []]
    assert read_identity(tmp_path)[0].version == 1
    assert StoreReader(tmp_path).rows["updates"].sum() == ROWS + 3


def test_an_older_package_is_told_to_upgrade(tmp_path: Path, header: Header) -> None:
    with MemmapStore(tmp_path, header, PAIRS) as store:
        fuse(store, *range(ROWS))
        store.commit()
        assert read_identity(tmp_path)[0].version == 1
        fuse(store, 5)
        store.commit()
    assert read_identity(tmp_path)[0].version == 3
    MemmapStore(tmp_path, header, PAIRS, resume=True).close()


def test_an_export_has_the_version_of_its_names(store: Path, tmp_path: Path) -> None:
    export_maps(StoreReader(store), tmp_path / "maps", "npz")
    header, pairs = read_identity(tmp_path / "maps")
    assert header.version == 1
    assert import_maps(tmp_path / "maps", tmp_path / "again", header, pairs) == ROWS


def test_any_damage_to_changes_is_refused_and_costs_their_rows(store: Path, header: Header) -> None:
    file = folder_of(store, 3) / "changes-000003.npy"
    sound = file.read_bytes()
    size = len(np.load(file)[:1].tobytes())
    start = len(sound) - 3 * size
    for place in (0, 9, start - 1, start, start + 7, start + 8, start + size + 9, len(sound) - 1):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        file.unlink()
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"changes-000003\.npy is damaged: its checksum"):
            open_generation(store, 3, header, ROWS)
        found = examine(store, 3, header, ROWS)
        hit = [] if place < start else [[3, 7, 40][(place - start) // size]]
        assert found.damaged.tolist() == hit, place
        assert "changes-000003.npy" in found.problems[0]


@pytest.mark.parametrize("left", [0, 50, 200])
def test_changes_that_are_cut_off_or_lost_cost_their_rows(
    store: Path, header: Header, left: int
) -> None:
    file = folder_of(store, 3) / "changes-000003.npy"
    sound = file.read_bytes()
    file.unlink()
    if left:
        file.write_bytes(sound[:left])
    with pytest.raises(StoreError, match=r"store verify"):
        open_generation(store, 3, header, ROWS)
    assert set(examine(store, 3, header, ROWS).damaged.tolist()) <= {3, 7, 40}
    assert 40 in examine(store, 3, header, ROWS).damaged


def test_a_damaged_older_generation_is_not_rested_on(store: Path, header: Header) -> None:
    with MemmapStore(store, header, PAIRS, resume=True, keep=9) as written:
        (folder_of(store, 3) / "seal.json").write_text("{}")
        fuse(written, 8)
        written.commit()
    assert layers(store, 4) == []
    assert StoreReader(store, 4).rows["updates"].sum() == ROWS + 4
