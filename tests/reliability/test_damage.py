"""Damage to any file of a store is found, and traced to its row, without changing anything."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.store.contract import PAPERS

from oaa_pl.errors import StoreError
from oaa_pl.store.damage import Findings, examine
from oaa_pl.store.generation import folder_of
from oaa_pl.store.layout import ROW, Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader, read_identity
from oaa_pl.store.seal import FILES

pytestmark = pytest.mark.reliability

Tally = Callable[[str, int], None]

CLASSES, GRID, GENERATION = ("cat", "dog", "cow"), (5, 6), 2
LABELS = np.random.default_rng(0).random((40, 3)) < 0.6
# A smaller file is tried at every bit and every byte.
PLACES = 300


@pytest.fixture(params=PAPERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    pairs = Pairs(tuple(f"image-{n}" for n in range(len(LABELS))), CLASSES, LABELS)
    header = Header(CLASSES, pairs.fingerprint, GRID, request.param)
    random = np.random.default_rng(1)
    with MemmapStore(tmp_path / "store", header, pairs) as written:
        index, category = pairs.pairs.T
        for epoch in range(GENERATION):
            maps = random.random((len(index), *GRID), dtype=np.float32)
            written.fuse(index, category, maps, epoch=epoch)
            written.commit()
    return tmp_path / "store"


def accidents(sound: bytes) -> Iterator[tuple[str, bytes]]:
    """What happened to a file, and its content since: one flipped bit, or an end cut off."""
    size, random = len(sound), np.random.default_rng(2)
    small = size <= PLACES
    for bit in range(8 * size) if small else random.choice(8 * size, PLACES, replace=False):
        flipped = bytearray(sound)
        flipped[bit // 8] ^= 1 << (bit % 8)
        yield f"bit {bit} flipped", bytes(flipped)
    for place in range(size) if small else np.sort(random.choice(size, PLACES, replace=False)):
        yield f"cut to {place} bytes", sound[:place]


def look(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file's bytes and when it was last written."""
    return {
        file: (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.rglob("*")
        if file.is_file()
    }


def refused(opening: Callable[[], object]) -> bool:
    try:
        opening()
    except StoreError:
        return True
    return False


def examined(store: Path) -> Findings:
    header, pairs = read_identity(store)
    return examine(store, GENERATION, header, len(pairs.pairs))


def rows_hit(content: bytes, sound: bytes, row_bytes: int, count: int) -> list[int]:
    """Rows of an array file that are not as they were, where what is cut off counts as zeros."""
    now = content.ljust(len(sound), b"\0")
    starts = range(len(sound) - count * row_bytes, len(sound), row_bytes)
    ends = [start + row_bytes for start in starts]
    return [
        row
        for row, (start, end) in enumerate(zip(starts, ends, strict=True))
        if now[start:end] != sound[start:end]
    ]


@pytest.mark.parametrize("name", ["header.json", "images.txt"])
def test_any_damage_to_what_a_store_is_is_refused(store: Path, name: str, tally: Tally) -> None:
    file, tried = store / name, 0
    for what, content in accidents(file.read_bytes()):
        file.write_bytes(content)
        before = look(store)
        assert refused(lambda: StoreReader(store)), what
        assert refused(lambda: read_identity(store)), what
        assert look(store) == before
        tried += 1
    count(name, tried, tally)


@pytest.mark.parametrize("name", FILES)
def test_any_damage_to_an_array_is_refused_and_traced_to_its_rows(
    store: Path, name: str, tally: Tally
) -> None:
    file, tried = folder_of(store, GENERATION) / name, 0
    reader, sound = StoreReader(store), file.read_bytes()
    rows = len(reader.rows)
    row_bytes = {"state.npy": reader.state[0].nbytes, "rows.npy": ROW.itemsize}[name]
    for what, content in accidents(sound):
        replace(file, content)
        before = look(store)
        assert refused(lambda: StoreReader(store)), what
        findings = examined(store)
        assert look(store) == before
        assert len(findings.problems) == 1
        assert f"{file} " in findings.problems[0]
        assert findings.damaged.tolist() == rows_hit(content, sound, row_bytes, rows), what
        assert_rest_is_good(findings, reader)
        tried += 1
    count(name, tried, tally)


def test_any_damage_to_a_seal_is_refused_and_costs_no_row(store: Path, tally: Tally) -> None:
    file, tried = folder_of(store, GENERATION) / "seal.json", 0
    reader = StoreReader(store)
    for what, content in accidents(file.read_bytes()):
        file.write_bytes(content)
        before = look(store)
        assert refused(lambda: StoreReader(store)), what
        findings = examined(store)
        assert look(store) == before
        assert findings.problems
        assert not len(findings.damaged)
        assert_rest_is_good(findings, reader)
        tried += 1
    count(file.name, tried, tally)


def replace(file: Path, content: bytes) -> None:
    """Another file of that name: a reader has the sound one mapped."""
    file.unlink()
    file.write_bytes(content)


def assert_rest_is_good(findings: Findings, sound: StoreReader) -> None:
    good = np.ones(len(sound.rows), bool)
    good[findings.damaged] = False
    assert np.array_equal(findings.state[good], sound.state[good])
    assert np.array_equal(findings.rows[good], sound.rows[good])
    assert not findings.state[~good].any()


def count(name: str, tried: int, tally: Tally) -> None:
    assert tried >= 200
    tally("truncations and flipped bits detected", tried)
    tally(f"truncations and flipped bits detected in {name}", tried)
