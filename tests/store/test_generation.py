import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.store.contract import PAIRS, header_of

from oaa_pl.errors import StoreError
from oaa_pl.store import generation as generation_file
from oaa_pl.store.files import checksum
from oaa_pl.store.generation import (
    committed,
    drop,
    folder_of,
    open_generation,
    sweep,
    write_generation,
)
from oaa_pl.store.layout import ROW, Header
from oaa_pl.store.seal import seal_rows

HEADER: Header = header_of("running_mean")
ROWS = len(PAIRS.pairs)


def content(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    state = np.random.default_rng(seed).integers(0, 9999, HEADER.state_shape(ROWS), np.uint32)
    rows = np.zeros(ROWS, ROW)
    rows["updates"], rows["origin"] = np.arange(ROWS), 1
    return state, rows


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_generation(tmp_path, 7, *content())
    return tmp_path


def opened(store: Path) -> tuple[np.ndarray, np.ndarray]:
    return open_generation(store, 7, HEADER, ROWS)


def test_a_generation_is_opened_as_it_was_written(store: Path) -> None:
    state, rows = opened(store)
    assert np.array_equal(state, content()[0])
    assert np.array_equal(rows, seal_rows(*content()))
    assert committed(store) == [7]


def test_a_generation_is_mapped_and_cannot_be_changed(store: Path) -> None:
    state, _ = opened(store)
    assert isinstance(state, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        state[0] = 1


def test_equal_states_make_equal_bytes(store: Path, tmp_path: Path) -> None:
    write_generation(tmp_path / "other", 3, *content())
    for file in folder_of(store, 7).iterdir():
        assert file.read_bytes() == (folder_of(tmp_path / "other", 3) / file.name).read_bytes()


def test_each_row_carries_the_checksum_of_its_state() -> None:
    state, rows = content()
    before = seal_rows(state, rows)["checksum"]
    state[2, 1, 0, 0] += 1
    after = seal_rows(state, rows)["checksum"]
    assert (before != after).tolist() == [False, False, True, False, False, False]
    assert not rows["checksum"].any()


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
def test_every_flipped_bit_is_found(store: Path, name: str) -> None:
    file = folder_of(store, 7) / name
    sound = file.read_bytes()
    for place in {0, 9, 60, 127, 128, len(sound) // 2, len(sound) - 1}:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 8)
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match=rf"{name} is damaged: its checksum .* store verify"):
            opened(store)
    file.write_bytes(sound)
    opened(store)


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
@pytest.mark.parametrize("change", [-1, 1, -100])
def test_a_file_of_another_size_is_refused_and_left_alone(
    store: Path, name: str, change: int
) -> None:
    file = folder_of(store, 7) / name
    sound = file.read_bytes()
    file.write_bytes(sound[:change] if change < 0 else sound + b"\0")
    size = file.stat().st_size
    with pytest.raises(StoreError, match=f"has {size} bytes, was sealed with {len(sound)}"):
        opened(store)
    assert file.stat().st_size == size


@pytest.mark.parametrize("name", ["state.npy", "rows.npy", "seal.json"])
def test_a_lost_file_is_a_damaged_generation(store: Path, name: str) -> None:
    (folder_of(store, 7) / name).unlink()
    with pytest.raises(StoreError, match=r"generations/000007 is damaged.*oaa store verify"):
        opened(store)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{'", '{"state.npy": 3, "rows.npy": 3}'])
def test_a_damaged_seal_is_a_damaged_generation(store: Path, text: str) -> None:
    (folder_of(store, 7) / "seal.json").write_text(text)
    with pytest.raises(StoreError, match=r"000007 is damaged"):
        opened(store)


def test_a_generation_that_is_not_there_is_named_with_those_that_are(store: Path) -> None:
    with pytest.raises(StoreError, match=r"has no generation 8; it has \[7\]"):
        open_generation(store, 8, HEADER, ROWS)


def test_a_state_of_another_shape_or_dtype_is_refused(tmp_path: Path) -> None:
    state, rows = content()
    write_generation(tmp_path, 1, state[:, :1], rows)
    write_generation(tmp_path, 2, state.astype(np.float64), rows)
    wider = np.dtype([(name, "<u8") for name in ROW.names or ()])
    write_generation(tmp_path, 3, state, rows.astype(wider))
    for generation, message in ((1, "expected uint32"), (2, "holds float64"), (3, "6 row rec")):
        with pytest.raises(StoreError, match=message):
            open_generation(tmp_path, generation, HEADER, ROWS)


def test_an_array_of_objects_is_never_unpickled(store: Path) -> None:
    file = folder_of(store, 7) / "rows.npy"
    np.save(file, np.array([{}]), allow_pickle=True)
    seal = json.loads((folder_of(store, 7) / "seal.json").read_text())
    seal["rows.npy"] = {
        "bytes": file.stat().st_size,
        "crc32": checksum(file),
    }
    (folder_of(store, 7) / "seal.json").write_text(json.dumps(seal, indent=1) + "\n")
    with pytest.raises(StoreError, match=r"rows\.npy holds object\(1,\), expected 6 row records"):
        opened(store)


def test_what_was_not_renamed_into_place_does_not_exist(store: Path) -> None:
    (store / "generations" / "000008.partial").mkdir()
    (store / "generations" / "000006.dropped").mkdir()
    (store / "generations" / "000009").write_text("a file")
    assert committed(store) == [7]


def test_a_broken_commit_leaves_the_old_generations(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise StoreError("No space left on device")

    monkeypatch.setattr(generation_file, "write_text", refuse)
    with pytest.raises(StoreError, match="No space left"):
        write_generation(store, 8, *content(1))
    assert [entry.name for entry in (store / "generations").iterdir()] == ["000007"]
    opened(store)


def test_what_a_killed_commit_left_is_overwritten(store: Path) -> None:
    partial = store / "generations" / "000008.partial"
    partial.mkdir()
    (partial / "state.npy").write_bytes(b"half")
    (partial / "foreign").write_bytes(b"more")
    write_generation(store, 8, *content(1))
    assert sorted(file.name for file in folder_of(store, 8).iterdir()) == [
        "rows.npy", "seal.json", "state.npy",
    ]  # fmt: skip


def test_a_dropped_generation_is_gone(store: Path) -> None:
    (store / "generations" / "000007.dropped").mkdir()  # a drop that was killed
    drop(store, 7)
    assert list((store / "generations").iterdir()) == []


def test_a_reader_keeps_the_generation_that_is_dropped(store: Path) -> None:
    state, _ = opened(store)
    drop(store, 7)
    assert np.array_equal(state, content()[0])


def test_sweeping_removes_the_halves_and_nothing_else(store: Path) -> None:
    shutil.copytree(folder_of(store, 7), store / "generations" / "000006.dropped")
    (store / "generations" / "000008.partial").mkdir()
    (store / ".header.json.123.partial").write_text("half")
    (store / "header.json").write_text("whole")
    sweep(store)
    assert sorted(entry.name for entry in store.iterdir()) == ["generations", "header.json"]
    assert [entry.name for entry in (store / "generations").iterdir()] == ["000007"]
    opened(store)


def test_a_generation_is_on_the_disk_before_and_after_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(
        generation_file, "sync_folder", lambda folder: steps.append(f"sync {folder.name}")
    )
    monkeypatch.setattr(
        Path, "rename", lambda self, to: steps.append(f"rename {self.name}") or rename(self, to)
    )
    write_generation(tmp_path, 3, *content())
    assert steps == ["sync 000003.partial", "rename 000003.partial", "sync generations"]
