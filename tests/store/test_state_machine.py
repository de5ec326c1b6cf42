"""Whatever is done to a store, in whatever order: it holds what a dictionary in plain loops holds.

The model knows section 3.2's two rules, Eqs. (5) and (10), on attention in whole steps of 1/256:
a cell is (largest, or sum, of what it was shown; how often it was shown), all exact integers.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.store.contract import GRID, PAIRS, PAPERS, batch, header_of, random_maps, snapshot

from oaa_pl.errors import StoreError, StoreMismatchError, StoreNotEmptyError
from oaa_pl.store import changes as changes_file
from oaa_pl.store import generation as generation_file
from oaa_pl.store import memmap as memmap_file
from oaa_pl.store.base import MapStore
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, ORIGIN_NONE
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.memory import MemoryStore
from oaa_pl.store.merge import merge_stores
from oaa_pl.store.reader import StoreReader

ALL = [(0, 1), (2, 0), (2, 2), (3, 0), (3, 1), (3, 2)]
CELLS = GRID[0] * GRID[1]
STEPS = 256  # of an attention from 0 to 1, as `random_maps` makes them

# The model


@dataclass
class Row:
    cells: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * CELLS)
    updates: int = 0
    last_epoch: int = 0
    origin: int = ORIGIN_NONE


Rows = dict[tuple[int, int], Row]


@dataclass
class Kept:
    """A committed generation: what it must hold, and every byte of its files."""

    rows: Rows
    files: dict[str, bytes]
    seal: str


@dataclass
class Maps:
    """A batch as a training step would hand it over."""

    pairs: list[tuple[int, int]]
    attention: np.ndarray
    inside: np.ndarray | None
    epoch: int

    def shown(self) -> Iterator[tuple[tuple[int, int], list[int], list[bool]]]:
        for k, pair in enumerate(self.pairs):
            steps = [int(value * STEPS) for value in self.attention[k].ravel().tolist()]
            inside = [True] * CELLS if self.inside is None else self.inside[k].ravel().tolist()
            yield pair, steps, inside


def empty() -> Rows:
    return {pair: Row() for pair in ALL}


def together(fusion: str, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    value = max(a[0], b[0]) if fusion == "maximum" else a[0] + b[0]
    return value, a[1] + b[1]


def fuse(rows: Rows, fusion: str, maps: Maps) -> None:
    for pair, steps, inside in maps.shown():
        if rows[pair].origin == ORIGIN_FALLBACK:
            rows[pair] = Row()
        row = rows[pair]
        for n in range(CELLS):
            if inside[n]:
                row.cells[n] = together(fusion, row.cells[n], (steps[n], 1))
        row.updates += 1
        row.last_epoch, row.origin = maps.epoch, ORIGIN_ACCEPTED


def fill(rows: Rows, maps: Maps) -> None:
    for pair, steps, _ in maps.shown():
        if rows[pair].origin != ORIGIN_ACCEPTED:
            rows[pair] = Row([(value, 1) for value in steps], 0, maps.epoch, ORIGIN_FALLBACK)


def absorb(rows: Rows, fusion: str, others: Rows) -> None:
    rank = {ORIGIN_NONE: 0, ORIGIN_FALLBACK: 1, ORIGIN_ACCEPTED: 2}
    for pair, other in others.items():
        mine = rows[pair]
        if rank[mine.origin] < rank[other.origin]:
            rows[pair] = deepcopy(other)
        elif rank[mine.origin] == rank[other.origin]:
            for n in range(CELLS):
                mine.cells[n] = together(fusion, mine.cells[n], other.cells[n])
            mine.updates += other.updates
            mine.last_epoch = max(mine.last_epoch, other.last_epoch)


def cumulative(row: Row, fusion: str) -> list[float]:
    shares = (
        value / (STEPS * (1 if fusion == "maximum" else max(count, 1)))
        for value, count in row.cells
    )
    return [float(np.float32(share)) for share in shares]


def require_equal(store: MapStore, rows: Rows, fusion: str) -> None:
    for image in range(len(PAIRS.ids)):
        present = [category for other, category in ALL if other == image]
        categories, attention = store.maps(image)
        assert categories.tolist() == present
        expected = [cumulative(rows[image, category], fusion) for category in present]
        assert attention.reshape(-1, CELLS).tolist() == expected
    known = [(row.updates, row.last_epoch, row.origin) for row in rows.values()]
    assert [record[:3] for record in store.rows.tolist()] == known
    missing = [list(pair) for pair, row in rows.items() if row.origin == ORIGIN_NONE]
    assert store.missing().tolist() == missing


# What happens to a process


class Killed(BaseException):
    """The process ends here: no `except` of the store may tidy up behind it."""


# Where a kill meets a commit or a return to an older generation, and whether a commit's
# generation is in place by then.
MOMENTS: dict[str, tuple[Any, str, bool, bool]] = {
    "before the state is written": (generation_file, "save_array", False, False),
    "after the state was written": (generation_file, "save_array", True, False),
    "before the rows are written": (generation_file, "seal_rows", False, False),
    "after the seal was written": (generation_file, "write_text", True, False),
    "after it was renamed into place": (memmap_file, "write_generation", True, True),
    "before an old one is dropped": (memmap_file, "drop", False, True),
    "after an old one was dropped": (memmap_file, "drop", True, True),
    "while an old one is dropped": (generation_file.shutil, "rmtree", False, True),
}


@contextmanager
def killed(moment: str) -> Iterator[list[str]]:
    """Ends what is done inside at that moment; the list says so, or stays empty if none came."""
    place, name, late, _ = MOMENTS[moment]
    real = getattr(place, name)
    deaths: list[str] = []

    def die(*arguments: Any, **options: Any) -> None:
        if name == "rmtree":
            if not (arguments[0] / "rows.npy").exists():  # nothing to delete: not the moment yet
                return
            (arguments[0] / "rows.npy").unlink()
        if late:
            real(*arguments, **options)
        deaths.append(moment)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, die)
        with suppress(Killed):
            yield deaths


def commit(ranks: Sequence[MemmapStore], needed: Iterable[int] = ()) -> int:
    """What processes do side by side, in turn: each waits while those before it do their part."""
    before: list[int] = []

    def wait() -> None:
        if len(ranks) > 1 and not before:
            before.append(commit(ranks[:-1], needed))

    number = ranks[-1].commit(wait, set(needed))
    assert before in ([], [number])
    return number


def on_disk(path: Path) -> list[int]:
    names = (entry.name for entry in (path / "generations").iterdir())
    return sorted(int(name) for name in names if name.isdigit())


def files_of(path: Path, generation: int) -> dict[str, bytes]:
    folder = path / "generations" / f"{generation:06d}"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


EPOCHS = st.integers(0, 30)
SEEDS = st.integers(0, 9999)
BATCHES = st.lists(st.sampled_from(ALL), max_size=5)
NEEDED = st.sets(st.integers(1, 12), max_size=3)
# Of a process that opens the store: ranks, generations that are kept, whether it goes on from them.
OPENED = {
    "world_size": st.sampled_from([1, 1, 2, 3]),
    "keep": st.integers(1, 3),
    "resume": st.sampled_from([True, True, True, False]),
}


def step(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule that is counted."""

    def counted(act: Callable[..., None]) -> Any:
        @wraps(act)
        def counting(self: "StoreMachine", **values: Any) -> None:
            StoreMachine.steps += 1
            act(self, **values)

        return rule(**drawn)(counting)

    return counted


@st.composite
def batches(draw: st.DrawFn) -> Maps:
    pairs, seed = draw(BATCHES), draw(SEEDS)
    masks = np.random.default_rng(seed).random((len(pairs), *GRID)) < 0.5
    inside = draw(st.sampled_from([None, masks]))
    return Maps(pairs, random_maps(len(pairs), seed), inside, draw(EPOCHS))


class StoreMachine(RuleBasedStateMachine):
    steps: ClassVar[int] = 0
    scratch: ClassVar[Path]

    ranks: list[MemmapStore]

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=self.scratch))
        self.folders = 0
        self.path = self.new_folder()
        self.ranks = []
        self.live: list[Rows] = []
        self.kept: dict[int, Kept] = {}
        self.gone: list[tuple[int, str]] = []
        self.readers: list[tuple[StoreReader, tuple[bytes, bytes]]] = []

    def teardown(self) -> None:
        self.close()
        shutil.rmtree(self.root)

    def new_folder(self) -> Path:
        self.folders += 1
        return self.root / str(self.folders)

    @initialize(fusion=st.sampled_from(PAPERS), **OPENED)
    def begin(self, fusion: str, **opened: Any) -> None:
        self.fusion = fusion
        self.open(**opened)

    def open(self, world_size: int, keep: int, resume: bool) -> None:
        header = header_of(self.fusion)
        if any(row.origin for kept in self.kept.values() for row in kept.rows.values()):
            with pytest.raises(StoreNotEmptyError, match=r"holds .* committed maps"):
                MemmapStore(self.path, header, PAIRS)
        self.keep, self.replaces = keep, not resume
        how = {"resume": resume, "overwrite": not resume}
        self.ranks = [
            MemmapStore(self.path, header, PAIRS, rank, world_size, keep, **how)
            for rank in range(world_size)
        ]
        self.live = [empty() for _ in self.ranks]
        if resume and self.kept:
            newest = max(self.kept)
            self.live[0] = deepcopy(self.kept[newest].rows)
            assert snapshot(self.ranks[0]) == snapshot(StoreReader(self.path, newest))

    def close(self) -> None:
        for store in reversed(self.ranks):
            store.close()
        self.ranks = []

    def remember(self, generation: int) -> None:
        files, seal = files_of(self.path, generation), self.ranks[0].seal(generation)
        self.kept[generation] = Kept(deepcopy(self.live[0]), files, seal)

    def forget(self, generations: Iterable[int]) -> None:
        for generation in list(generations):
            self.gone.append((generation, self.kept.pop(generation).seal))

    # Accumulating

    @step(maps=batches(), rank=st.integers(0, 2))
    def fuse(self, maps: Maps, rank: int) -> None:
        rank %= len(self.ranks)
        self.ranks[rank].fuse(*batch(*maps.pairs), maps.attention, maps.inside, maps.epoch)
        fuse(self.live[rank], self.fusion, maps)

    @step(maps=batches(), rank=st.integers(0, 2))
    def fill(self, maps: Maps, rank: int) -> None:
        rank %= len(self.ranks)
        self.ranks[rank].fill(*batch(*maps.pairs), maps.attention, maps.epoch)
        fill(self.live[rank], maps)

    @step(maps=batches(), wrong=st.sampled_from(["absent", "range", "value", "grid"]))
    def refuse(self, maps: Maps, wrong: str) -> None:
        pairs, attention = [*maps.pairs, ALL[0]], random_maps(len(maps.pairs) + 1)
        if wrong in {"absent", "range"}:
            pairs[-1] = (0, 0) if wrong == "absent" else (4, 0)
        elif wrong == "value":
            attention[-1, 0, 0] = np.nan
        else:
            attention = attention[:, 1:]
        for accumulate in (self.ranks[0].fuse, self.ranks[0].fill):
            with pytest.raises(StoreError, match=r"has no tag|of one length|must be in|must be"):
                accumulate(*batch(*pairs), attention)

    @step(maps=batches(), fallback=batches())
    def absorb(self, maps: Maps, fallback: Maps) -> None:
        other = MemoryStore(header_of(self.fusion), PAIRS)
        absorbed = self.fed(other, maps, fallback)
        self.ranks[0].absorb(other.state, other.rows)
        absorb(self.live[0], self.fusion, absorbed)

    def fed(self, other: MapStore, maps: Maps, fallback: Maps) -> Rows:
        rows = empty()
        other.fuse(*batch(*maps.pairs), maps.attention, maps.inside, maps.epoch)
        other.fill(*batch(*fallback.pairs), fallback.attention, fallback.epoch)
        fuse(rows, self.fusion, maps)
        fill(rows, fallback)
        return rows

    # Generations

    @step(needed=NEEDED)
    def commit(self, needed: set[int]) -> None:
        generation = commit(self.ranks, needed)
        assert generation == max(self.kept, default=0) + 1
        self.model_commits(generation)
        self.forget(self.droppable(needed))

    def model_commits(self, generation: int) -> None:
        for others in self.live[1:]:
            absorb(self.live[0], self.fusion, others)
        self.live[1:] = [empty() for _ in self.live[1:]]
        self.remember(generation)

    def droppable(self, needed: set[int]) -> set[int]:
        keep = 1 if self.replaces else self.keep
        self.replaces = False
        return set(sorted(self.kept)[:-keep]) - needed

    @precondition(lambda self: self.kept)
    @step(pick=st.integers(0, 20), sealed=st.booleans(), needed=NEEDED)
    def roll_back(self, pick: int, sealed: bool, needed: set[int]) -> None:
        known = [0, *sorted(self.kept)]
        generation = known[pick % len(known)]
        seal = (self.kept[generation].seal if generation else "") if sealed else None
        for store in self.ranks:
            store.roll_back(generation, seal, needed)
        self.model_rolls_back(generation, needed)

    def model_rolls_back(self, generation: int, needed: Iterable[int] = ()) -> None:
        self.live, self.replaces = [empty() for _ in self.ranks], False
        if generation:
            self.live[0] = deepcopy(self.kept[generation].rows)
        self.forget([newer for newer in self.kept if newer > generation and newer not in needed])

    @step(pick=st.integers(1, 50))
    def roll_back_to_none_that_there_is(self, pick: int) -> None:
        absent = [number for number in range(1, 60) if number not in self.kept]
        generation = absent[pick % len(absent)]
        with pytest.raises(StoreError, match=f"has no generation {generation}; it has"):
            self.ranks[0].roll_back(generation)
        for store in self.ranks:
            with pytest.raises(StoreError, match=f"has no generation {generation}; it has"):
                store.roll_back(generation, "0123abcd")

    def made_anew(self) -> list[tuple[int, str]]:
        """Bygone generations whose number another one has by now."""
        return [
            (generation, seal)
            for generation, seal in self.gone
            if generation in self.kept and self.kept[generation].seal != seal
        ]

    @precondition(made_anew)
    @step(pick=st.integers(0, 50))
    def roll_back_to_one_that_was_made_anew(self, pick: int) -> None:
        generation, seal = self.made_anew()[pick % len(self.made_anew())]
        for store in self.ranks:
            with pytest.raises(StoreMismatchError, match=f"has another generation {generation}"):
                store.roll_back(generation, seal)

    # Processes

    @step(**OPENED)
    def close_and_reopen(self, **opened: Any) -> None:
        self.close()
        assert list((self.path / "live").iterdir()) == []
        self.open(**opened)

    @step(**OPENED)
    def crash(self, **opened: Any) -> None:
        # A killed process loses its lock and tidies nothing: its live maps, and what it left half
        # made, lie there when the next one opens the folder.
        if (lock := self.ranks[0]._lock) is not None:
            lock.release()
        self.ranks = []
        assert (self.path / "live" / "rank-0.state").exists()
        self.open(**opened)
        swept = {entry.suffix for entry in (self.path / "generations").iterdir()}
        assert swept <= {""}

    @step(
        moment=st.sampled_from(list(MOMENTS)), needed=NEEDED, opened=st.fixed_dictionaries(OPENED)
    )
    def crash_in_a_commit(self, moment: str, needed: set[int], opened: dict[str, Any]) -> None:
        with killed(moment) as deaths:
            commit(self.ranks, needed)
        if not deaths or MOMENTS[moment][3]:
            self.model_commits(max(self.kept, default=0) + 1)
            self.forget_what_was_dropped(self.droppable(needed), every=not deaths)
        note(f"died: {deaths}")
        self.after_death(opened)

    @precondition(lambda self: len(self.ranks) > 1)
    @step(late=st.booleans(), opened=st.fixed_dictionaries(OPENED))
    def crash_in_a_barrier(self, late: bool, opened: dict[str, Any]) -> None:
        waits: list[int] = []

        def wait() -> None:
            if len(waits) == late:
                raise Killed("in a barrier")
            waits.append(commit(self.ranks[:-1]))

        with pytest.raises(Killed, match="in a barrier"):
            self.ranks[-1].commit(wait)
        if late:
            self.model_commits(max(self.kept, default=0) + 1)
            self.forget(self.droppable(set()))
        self.after_death(opened)

    @precondition(lambda self: self.kept)
    @step(
        moment=st.sampled_from([name for name in MOMENTS if "dropped" in name]),
        pick=st.integers(0, 20),
        opened=st.fixed_dictionaries(OPENED),
    )
    def crash_in_a_return(self, moment: str, pick: int, opened: dict[str, Any]) -> None:
        known = [0, *sorted(self.kept)]
        generation = known[pick % len(known)]
        with killed(moment) as deaths:
            self.ranks[0].roll_back(generation)
        newer = {other for other in self.kept if other > generation}
        self.forget_what_was_dropped(newer, every=not deaths)
        self.after_death(opened)

    def forget_what_was_dropped(self, doomed: set[int], *, every: bool) -> None:
        left = set(on_disk(self.path))
        assert set(self.kept) - doomed <= left <= set(self.kept)
        assert not every or not left & doomed
        self.forget(set(self.kept) - left)

    def after_death(self, opened: dict[str, Any]) -> None:
        StoreMachine.steps -= 1  # the crash below is a part of this step
        self.crash(**opened)

    @precondition(lambda self: len(self.ranks) == 1)
    @step(name=st.sampled_from(["save_array", "write_text"]))
    def commit_on_a_full_disk(self, name: str) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(generation_file, name, full)
            with pytest.raises(StoreError, match=r"cannot be written \(No space left"):
                self.ranks[0].commit()

    @step()
    def second_writer(self) -> None:
        with pytest.raises(StoreError, match="is being written"):
            MemmapStore(self.path, header_of(self.fusion), PAIRS)

    # Readers

    @step(pick=st.integers(0, 20))
    def read(self, pick: int) -> None:
        if not self.kept:
            with pytest.raises(StoreError, match="has no committed generation"):
                StoreReader(self.path)
            return
        newest, reader = max(self.kept), StoreReader(self.path)
        assert (reader.generation, reader.generations()) == (newest, sorted(self.kept))
        require_equal(reader, self.kept[newest].rows, self.fusion)
        older = sorted(self.kept)[pick % len(self.kept)]
        require_equal(StoreReader(self.path, older), self.kept[older].rows, self.fusion)
        self.readers = [*self.readers[-2:], (reader, snapshot(reader))]

    @step(maps=batches(), fallback=batches())
    def merge(self, maps: Maps, fallback: Maps) -> None:
        other, one, two = (self.new_folder() for _ in range(3))
        with MemmapStore(other, header_of(self.fusion), PAIRS) as store:
            rows = self.fed(store, maps, fallback)
            store.commit()
        if not self.kept:
            with pytest.raises(StoreError, match="has no committed generation"):
                merge_stores(one, [self.path, other])
            return
        merge_stores(one, [self.path, other])
        merge_stores(two, [other, self.path])
        absorb(rows, self.fusion, self.kept[max(self.kept)].rows)
        require_equal(StoreReader(one), rows, self.fusion)
        assert on_disk(one) == on_disk(two) == [1]
        assert files_of(one, 1) == files_of(two, 1)

    # What always holds

    @invariant()
    def every_rank_holds_what_the_model_holds(self) -> None:
        for store, rows in zip(self.ranks, self.live, strict=True):
            require_equal(store, rows, self.fusion)

    @invariant()
    def the_generations_are_the_models_to_the_last_bit(self) -> None:
        assert on_disk(self.path) == sorted(self.kept)
        for store in self.ranks:
            assert store.generations() == sorted(self.kept)
        for generation, kept in self.kept.items():
            assert files_of(self.path, generation) == kept.files
            assert self.ranks[0].seal(generation) == kept.seal

    @invariant()
    def a_reader_keeps_what_it_opened(self) -> None:
        for reader, bits in self.readers:
            assert snapshot(reader) == bits


@pytest.fixture(params=["whole generations", "generations of changes"])
def machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> type[StoreMachine]:
    if request.param == "generations of changes":  # also of a small store, and as many as can be
        monkeypatch.setattr(changes_file, "SMALLEST", 0)
        monkeypatch.setattr(changes_file, "_LARGEST_PART", 1)
    # A kill is no power cut: the kernel keeps what was written, and waiting for the disk a hundred
    # thousand times would show nothing.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    StoreMachine.scratch = tmp_path
    StoreMachine.steps = 0
    return StoreMachine


def explore(machine: type[StoreMachine], examples: int, steps: int) -> int:
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=how)
    return machine.steps


def test_a_few_random_histories_leave_the_store_as_the_model_says(
    machine: type[StoreMachine],
) -> None:
    assert explore(machine, examples=12, steps=20) > 150


@pytest.mark.reliability
def test_hundreds_of_random_histories_leave_the_store_as_the_model_says(
    machine: type[StoreMachine], tally: Callable[[str, int], None]
) -> None:
    steps = explore(machine, examples=250, steps=40)
    assert steps > 6000
    tally("hypothesis steps run", steps)
