from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.store.contract import GRID, PAIRS, PAPERS, batch, header_of, random_maps

from oaa_pl.errors import StoreError
from oaa_pl.store.damage import Findings, examine
from oaa_pl.store.generation import folder_of, open_generation, write_generation
from oaa_pl.store.layout import ORIGIN_NONE, ROW, Header, Pairs
from oaa_pl.store.memory import MemoryStore

ROWS = len(PAIRS.pairs)
Bytes = Callable[[bytearray], None]


def content(fusion: str) -> tuple[np.ndarray, np.ndarray]:
    """State and rows in which every row has something."""
    store = MemoryStore(header_of(fusion), PAIRS)
    index, category = PAIRS.pairs.T
    for epoch in range(2):
        store.fuse(index, category, random_maps(ROWS, epoch), epoch=epoch)
    return store.state.copy(), store.rows.copy()


@pytest.fixture(params=[*PAPERS, "exponential_mean(rate=0.25)"])
def fusion(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def store(tmp_path: Path, fusion: str) -> Path:
    write_generation(tmp_path, 1, *content(fusion))
    return tmp_path


def look(store: Path, fusion: str) -> Findings:
    """What is found, and that looking changed nothing."""
    before = snapshot(store)
    found = examine(store, 1, header_of(fusion), ROWS)
    assert snapshot(store) == before
    return found


def snapshot(store: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(store)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in store.rglob("*")
        if path.is_file()
    }


def frame_and_row(file: Path) -> tuple[int, int]:
    """Bytes of a sound .npy file before its first row, and of each row."""
    row = np.load(file).nbytes // ROWS
    return file.stat().st_size - row * ROWS, row


def edit(path: Path, change: Bytes) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def require(found: Findings, fusion: str, damaged: list[int], *problems: str) -> None:
    """Exactly these rows are damaged, the others keep every bit, and the problems are said."""
    assert found.damaged.tolist() == damaged
    assert len(found.problems) == len(problems)
    for said, expected in zip(found.problems, problems, strict=True):
        assert expected in said
    state, rows = content(fusion)
    good = np.delete(np.arange(ROWS), damaged)
    assert np.array_equal(found.state[good], state[good])
    assert np.array_equal(found.rows["updates"][good], rows["updates"][good])
    assert not found.state[damaged].any()
    assert (found.rows["origin"][damaged] == ORIGIN_NONE).all()


def test_a_sound_generation_has_no_problem(store: Path, fusion: str) -> None:
    found = look(store, fusion)
    require(found, fusion, [])
    assert found.generation == 1
    state, rows = open_generation(store, 1, header_of(fusion), ROWS)
    assert np.array_equal(found.state, state)
    assert np.array_equal(found.rows, rows)


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
def test_a_flipped_bit_costs_its_own_row(store: Path, fusion: str, name: str) -> None:
    file = folder_of(store, 1) / name
    sound = file.read_bytes()
    frame, row = frame_and_row(file)
    for place in range(frame, len(sound), 7):
        edit(file, lambda data, at=place: data.__setitem__(at, data[at] ^ 1 << at % 8))
        require(look(store, fusion), fusion, [(place - frame) // row], f"{name} is damaged")
        file.write_bytes(sound)


def test_rows_that_are_damaged_in_different_files_are_all_found(store: Path, fusion: str) -> None:
    for name, row in (("state.npy", 4), ("rows.npy", 1)):
        file = folder_of(store, 1) / name
        frame, size = frame_and_row(file)
        at = frame + row * size
        edit(file, lambda data, at=at: data.__setitem__(at, data[at] ^ 1))
    require(look(store, fusion), fusion, [1, 4], "state.npy is damaged", "rows.npy is damaged")


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
@pytest.mark.parametrize("kept", [0, 1, 3.5, 5, 5.9])
def test_of_a_file_that_was_cut_off_the_rows_before_the_cut_are_good(
    store: Path, fusion: str, name: str, kept: float
) -> None:
    file = folder_of(store, 1) / name
    whole = file.stat().st_size
    frame, row = frame_and_row(file)
    size = frame + int(kept * row)
    edit(file, lambda data: data.__delitem__(slice(size, None)))
    lost = list(range(int(kept), ROWS))
    require(look(store, fusion), fusion, lost, f"{name} has {size} bytes, was sealed with {whole}")


@pytest.mark.parametrize("size", [0, 1, 127])
def test_of_a_file_that_ends_in_its_frame_nothing_is_left(
    store: Path, fusion: str, size: int
) -> None:
    edit(folder_of(store, 1) / "state.npy", lambda data: data.__delitem__(slice(size, None)))
    require(look(store, fusion), fusion, list(range(ROWS)), f"state.npy has {size} bytes")


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
def test_what_was_appended_costs_no_row(store: Path, fusion: str, name: str) -> None:
    edit(folder_of(store, 1) / name, lambda data: data.extend(b"more"))
    require(look(store, fusion), fusion, [], f"{name} has ")


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
def test_a_lost_file_costs_every_row(store: Path, fusion: str, name: str) -> None:
    (folder_of(store, 1) / name).unlink()
    require(look(store, fusion), fusion, list(range(ROWS)), f"{name} is missing")


def test_a_file_that_cannot_be_read_costs_every_row(store: Path, fusion: str) -> None:
    file = folder_of(store, 1) / "state.npy"
    file.unlink()
    file.symlink_to(file)
    require(look(store, fusion), fusion, list(range(ROWS)), "state.npy cannot be read (Too many")


def test_a_file_of_zeros_costs_every_row(store: Path, fusion: str) -> None:
    for name in ("state.npy", "rows.npy"):
        edit(
            folder_of(store, 1) / name, lambda data: data.__setitem__(slice(None), bytes(len(data)))
        )
    found = look(store, fusion)
    require(found, fusion, list(range(ROWS)), "state.npy is damaged", "rows.npy is damaged")


@pytest.mark.parametrize("name", ["state.npy", "rows.npy"])
@pytest.mark.parametrize("place", [0, 6, 8, 20, 60, 127])
def test_damage_to_a_file_s_frame_costs_no_row(
    store: Path, fusion: str, name: str, place: int
) -> None:
    edit(folder_of(store, 1) / name, lambda data: data.__setitem__(place, data[place] ^ 16))
    require(look(store, fusion), fusion, [], f"{name} is damaged")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "{'", "3", "\x00", '{"state.npy": 3, "rows.npy": 3}', "[" * 100_000,
     '{"state.npy": {"bytes": 1e999, "crc32": 1}, "rows.npy": {"bytes": 1, "crc32": 1}}'],
    ids=range(9),
)  # fmt: skip
def test_a_damaged_seal_costs_no_row(store: Path, fusion: str, text: str) -> None:
    (folder_of(store, 1) / "seal.json").write_text(text)
    require(look(store, fusion), fusion, [], "seal.json is damaged")


def test_a_lost_seal_costs_no_row(store: Path, fusion: str) -> None:
    (folder_of(store, 1) / "seal.json").unlink()
    require(look(store, fusion), fusion, [], "seal.json is missing")


def test_the_seal_of_another_generation_costs_no_row(store: Path, fusion: str) -> None:
    state, rows = content(fusion)
    rows["last_epoch"] = 9
    write_generation(store, 2, state[::-1], rows)
    other = (folder_of(store, 2) / "seal.json").read_bytes()
    (folder_of(store, 1) / "seal.json").write_bytes(other)
    require(look(store, fusion), fusion, [], "state.npy is damaged", "rows.npy is damaged")


def test_rows_that_were_sealed_damaged_are_found(store: Path, fusion: str) -> None:
    state, _ = content(fusion)
    rows = np.load(folder_of(store, 1) / "rows.npy")
    state[3] += 1
    write_generation(store, 2, state, rows)
    sealed = np.load(folder_of(store, 2) / "rows.npy")
    assert sealed["checksum"][3] != rows["checksum"][3]
    write_with_checksums(store, 3, state, rows)
    found = examine(store, 3, header_of(fusion), ROWS)
    assert found.damaged.tolist() == [3]
    assert "sealed with damaged rows" in found.problems[0]


def write_with_checksums(store: Path, generation: int, state: np.ndarray, rows: np.ndarray) -> None:
    """Seal rows with the checksums that they bring."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oaa_pl.store.generation.seal_rows", lambda state, rows, *_: rows)
        write_generation(store, generation, state, rows)


def test_what_cannot_be_opened_is_never_called_sound(store: Path, fusion: str) -> None:
    state, rows = content(fusion)
    turned = state.reshape(ROWS, -1, *GRID[::-1])  # the same bytes under another shape
    write_generation(store, 2, turned, rows)
    found = examine(store, 2, header_of(fusion), ROWS)
    assert found.damaged.tolist() == []
    assert len(found.problems) == 1
    assert "state.npy holds" in found.problems[0]


def test_a_store_of_fewer_rows_lacks_the_others(store: Path, fusion: str) -> None:
    found = examine(store, 1, header_of(fusion), ROWS + 2)
    assert found.damaged.tolist() == [ROWS, ROWS + 1]
    assert found.problems


def test_a_generation_that_is_not_there_is_named_with_those_that_are(
    store: Path, fusion: str
) -> None:
    with pytest.raises(StoreError, match=r"has no generation 4; it has \[1\]"):
        examine(store, 4, header_of(fusion), ROWS)


def test_a_store_without_any_pair_is_sound_until_its_seal_is_not(tmp_path: Path) -> None:
    pairs = Pairs(("a",), ("cat",), np.zeros((1, 1), bool))
    header = Header(("cat",), pairs.fingerprint, GRID, "maximum")
    write_generation(tmp_path, 1, np.zeros(header.state_shape(0), np.float16), np.zeros(0, ROW))
    assert examine(tmp_path, 1, header, 0).problems == ()
    (folder_of(tmp_path, 1) / "rows.npy").unlink()
    found = examine(tmp_path, 1, header, 0)
    assert found.damaged.tolist() == []
    assert "rows.npy is missing" in found.problems[0]


def test_never_accepted_pairs_are_good_rows(tmp_path: Path) -> None:
    store = MemoryStore(header_of(), PAIRS)
    store.fuse(*batch((3, 1)), random_maps(1))
    write_generation(tmp_path, 1, store.state, store.rows)
    assert examine(tmp_path, 1, header_of(), ROWS).problems == ()
