"""What a machine does to a store: full disks, read-only folders, other processes, many opens.

Whatever might harm the process that runs it runs in a process of its own, see `apart`.
"""

import multiprocessing
import os
import pickle
import re
import resource
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from tests.store.contract import PAIRS, batch, header_of, random_maps, snapshot

from oaa_pl.errors import StoreError
from oaa_pl.store.exchange import export_maps
from oaa_pl.store.generation import folder_of
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

ROOT = Path(__file__).parents[2]
PAGE = 4096
# So many that the last of them reach a few bytes into a page of their own.
ROWS, GRID = 62, (34, 34)
STATE_BYTES = ROWS * GRID[0] * GRID[1] * 2  # float16
WIDE = Pairs(tuple(f"i{n}" for n in range(ROWS)), ("cat",), np.ones((ROWS, 1), bool))
EVERY_ROW = np.arange(ROWS), np.zeros(ROWS, np.int64)
NO_ROOM = "No space left on device|File too large"


def program(work: Callable[..., None], *arguments: object) -> list[str]:
    """The command line of a function of this file."""
    code = "import sys, tests.store.test_environment as here\n"
    code += "getattr(here, sys.argv[1])(*sys.argv[2:])"
    return [sys.executable, "-W", "error", "-c", code, work.__name__, *map(str, arguments)]


# A child of this server starts with torch imported, which takes longer than most of these tests.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload([__name__, "torch"])


def apart(work: Callable[..., None], *arguments: object) -> None:
    """Do a function of this file in a process of its own, which must end well."""
    strict = {"initializer": warnings.simplefilter, "initargs": ("error",)}
    with ProcessPoolExecutor(1, mp_context=FORKED, **strict) as pool:
        pool.submit(work, *map(str, arguments)).result(timeout=120)


def in_a_new_interpreter(work: Callable[..., None], *arguments: object) -> None:
    """Do it in a process that also starts others, and ends as an interpreter ends."""
    done = subprocess.run(
        program(work, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr or f"status {done.returncode}"


@contextmanager
def started(work: Callable[..., None], *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """Another process that does a function of this file; it has said "ready"."""
    pipe = subprocess.PIPE
    command = program(work, *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def open_wide(path: Path) -> MemmapStore:
    header = Header(WIDE.classes, WIDE.fingerprint, GRID, "maximum")
    return MemmapStore(path, header, WIDE, resume=True)


def level(value: float) -> np.ndarray:
    """A map of that value in every cell for every row."""
    return np.full((ROWS, *GRID), value, np.float32)


def committed_wide(path: Path, *values: float) -> None:
    with open_wide(path) as store:
        for value in values:
            store.fuse(*EVERY_ROW, level(value))
            store.commit()


def leftovers(path: Path) -> list[str]:
    return [str(file.relative_to(path)) for file in path.rglob("*") if "partial" in file.name]


# A full disk


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of 768 KiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=768K", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this machine has no `mount`")
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount a tmpfs here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(params=["disk", "limit"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder on a small disk, or one where the size of a file can be limited."""
    if request.param == "disk":
        disk: Path = request.getfixturevalue("mounted")
        return disk
    return tmp_path / "limit"


@contextmanager
def nearly_full(place: Path, room: int) -> Iterator[None]:
    """Room for that many bytes more: on the disk, or, where it is no small one, in each file."""
    if place.name == "limit":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    else:
        free = os.statvfs(place).f_bavail * PAGE
        with (place / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - room, 1))
        yield
        (place / "filler").unlink()


def create_with_little_room(folder: str) -> None:
    place = Path(folder)
    said = set()
    for room in range(0, STATE_BYTES, PAGE):
        store = place / f"store-{room}"
        with nearly_full(place, room), pytest.raises(StoreError, match=NO_ROOM) as refusal:
            open_wide(store)
        said.add(f"cannot reserve {STATE_BYTES} bytes" in str(refusal.value))
        assert "free disk space" in str(refusal.value) or "another run folder" in str(refusal.value)
        assert not list(store.glob("live/*"))
        assert not leftovers(store)
        with open_wide(store) as again:
            assert again.generations() == []
            assert not again.state.any()
        subprocess.run(["rm", "-r", str(store)], check=True)
    assert said == {True, False}  # it was tried before and after there was room for the header


def commit_with_little_room(folder: str) -> None:
    place = Path(folder)
    path = place / "store"
    committed_wide(path, 0.25)
    done = []
    with open_wide(path) as store:
        for room in range(0, STATE_BYTES + 8 * PAGE, PAGE // 2):
            store.roll_back(1)
            store.fuse(*EVERY_ROW, level(0.5))
            with nearly_full(place, room):
                done.append(commits(store))
                assert (StoreReader(path).state == (0.5 if done[-1] else 0.25)).all()
                assert store.generations() == ([1, 2] if done[-1] else [1])
                assert not leftovers(path)
            assert (store.state == 0.5).all()
        assert done == sorted(done)
        assert {*done} == {True, False}
        assert store.commit() == 3
    assert (StoreReader(path).state == 0.5).all()


def commits(store: MemmapStore) -> bool:
    """Whether there is room for a commit; where not, the error must say what to do."""
    try:
        store.commit()
    except StoreError as error:
        said = str(error)
    else:
        return True
    assert re.search(f"({NO_ROOM}).*; free disk space", said), said
    return False


def go_on_after_a_full_disk(folder: str) -> None:
    place = Path(folder)
    path = place / "store"
    with open_wide(path) as store:
        store.fuse(*EVERY_ROW, level(0.25))
        store.commit()
        store.fuse(*EVERY_ROW, level(0.5))
        with nearly_full(place, STATE_BYTES // 2):
            for _ in range(3):
                with pytest.raises(StoreError, match=NO_ROOM):
                    store.commit()
        store.fuse(*EVERY_ROW, level(0.75))
        assert store.commit() == 2
    reader = StoreReader(path)
    assert (reader.state == 0.75).all()
    assert reader.rows["updates"].tolist() == [3] * ROWS
    assert (StoreReader(path, 1).state == 0.25).all()


def export_with_little_room(folder: str, kind: str) -> None:
    place = Path(folder)
    committed_wide(place / "store", 0.25)
    reader = StoreReader(place / "store")
    reader_sees = snapshot(reader)
    for room in (0, 64, 3 * PAGE):
        if place.name == "limit" and room > 64:
            continue  # every file of an export is smaller
        with nearly_full(place, room), pytest.raises(StoreError, match=NO_ROOM):
            export_maps(reader, place / "out", kind)
        assert sorted(entry.name for entry in place.iterdir()) == ["store"]
    assert snapshot(StoreReader(place / "store")) == reader_sees
    assert export_maps(reader, place / "out", kind) == ROWS


@pytest.mark.parametrize(
    "work", [create_with_little_room, commit_with_little_room, go_on_after_a_full_disk]
)
def test_a_full_disk_is_said_and_costs_nothing_that_was_committed(
    place: Path, work: Callable[..., None]
) -> None:
    apart(work, place)


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_an_export_to_a_full_disk_is_said_and_leaves_nothing(place: Path, kind: str) -> None:
    apart(export_with_little_room, place, kind)


def fuse_on_a_full_disk(folder: str) -> None:
    path = Path(folder) / "store"
    with open_wide(path) as store:
        with nearly_full(Path(folder), 0):
            store.fuse(*EVERY_ROW, level(0.5))
            assert (store.state == 0.5).all()
        store.commit()
    assert (StoreReader(path).state == 0.5).all()


def test_a_disk_that_fills_up_later_does_not_end_the_process(mounted: Path) -> None:
    apart(fuse_on_a_full_disk, mounted)  # a page without a block would be SIGBUS


def open_truncated(folder: str) -> None:
    path = Path(folder)
    reader = StoreReader(path)
    handed_over = pickle.dumps(reader)
    file = folder_of(path, 1) / "state.npy"
    for size in (file.stat().st_size - 1, PAGE, 1, 0):
        os.truncate(file, size)
        with pytest.raises(StoreError, match=f"has {size} bytes, was sealed with"):
            StoreReader(path)
        with pytest.raises(StoreError, match=f"has {size} bytes, was sealed with"):
            pickle.loads(handed_over)


def test_a_file_that_was_cut_short_is_refused_before_it_is_mapped(tmp_path: Path) -> None:
    committed_wide(tmp_path, 0.25)
    apart(open_truncated, tmp_path)


# A folder that cannot be written


def become_a_stranger_in(folder: str) -> None:
    """Go there, so that nothing above need be passable, and give up root's rights."""
    os.chdir(folder)
    if os.geteuid() == 0:
        os.setuid(65534)


def read_but_not_write(folder: str, why: str) -> None:
    if why == "Permission denied":
        StoreReader(Path(folder) / "store")  # numpy imports more when it first maps a file
        become_a_stranger_in(folder)
        folder = "."
    path = Path(folder) / "store"
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(
        StoreError, match=rf"cannot be written \({why}\); choose another run folder"
    ):
        open_wide(path)
    with pytest.raises(
        StoreError, match=rf"cannot be written \({why}\); choose another run folder"
    ):
        open_wide(Path(folder) / "new")
    assert (StoreReader(path).state == 0.25).all()
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_store_on_a_read_only_disk_can_be_read(mounted: Path) -> None:
    committed_wide(mounted / "store", 0.25)
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    apart(read_but_not_write, mounted, "Read-only file system")


def test_a_store_without_the_right_to_write_it_can_be_read(tmp_path: Path) -> None:
    committed_wide(tmp_path / "store", 0.25)
    with allowed(tmp_path, 0o555, 0o444):
        apart(read_but_not_write, tmp_path, "Permission denied")


@contextmanager
def allowed(place: Path, folder_mode: int, file_mode: int) -> Iterator[None]:
    """Whether a folder and all in it may be read, written or passed."""
    entries = [place, *place.rglob("*")]
    for entry in reversed(entries):
        entry.chmod(folder_mode if entry.is_dir() else file_mode)
    try:
        yield
    finally:
        for entry in entries:
            entry.chmod(0o755)


def be_kept_out(folder: str) -> None:
    become_a_stranger_in(folder)
    with pytest.raises(StoreError, match=r"store cannot be read \(Permission denied\); have its"):
        StoreReader(Path("store"))


@pytest.mark.parametrize("which", ["store", "store/generations"])
def test_a_store_without_the_right_to_read_it_is_named(tmp_path: Path, which: str) -> None:
    committed_wide(tmp_path / "store", 0.25)
    tmp_path.chmod(0o755)
    with allowed(tmp_path / which, 0, 0):
        apart(be_kept_out, tmp_path)


# Other processes


def hold(folder: str) -> None:
    with open_wide(Path(folder)) as store:
        store.fuse(*EVERY_ROW, level(0.75))
        say_ready()
        sys.stdin.read()


def test_a_second_writer_is_told_of_the_first_and_takes_over_when_it_is_dead(
    tmp_path: Path,
) -> None:
    committed_wide(tmp_path, 0.25)
    with started(hold, tmp_path) as first:
        holder = rf'"pid": {first.pid}, "host": "{socket.gethostname()}"'
        for _ in range(2):
            with pytest.raises(StoreError, match=holder):
                open_wide(tmp_path)
        assert (StoreReader(tmp_path).state == 0.25).all()
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert (tmp_path / "live" / "rank-0.state").exists()
        with open_wide(tmp_path) as store:
            assert (store.state == 0.25).all()
            assert store.commit() == 2


def hand_to_workers(folder: str) -> None:
    reader = StoreReader(Path(folder))
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert {*pool.map(snapshot, [reader] * 4)} == {snapshot(reader)}, method


def test_workers_read_the_maps_of_the_reader_that_they_are_handed(tmp_path: Path) -> None:
    committed_wide(tmp_path, 0.25, 0.5)
    in_a_new_interpreter(hand_to_workers, tmp_path)


def test_a_writer_is_not_handed_to_another_process(tmp_path: Path) -> None:
    with (
        open_wide(tmp_path) as store,
        pytest.raises(StoreError, match=r"pass StoreReader\(path\)"),
    ):
        pickle.dumps(store)


def fork_a_writer(folder: str) -> None:
    path = Path(folder)
    store = open_wide(path)
    store.fuse(*EVERY_ROW, level(0.25))
    store.commit()
    store.fuse(*EVERY_ROW, level(0.5))
    live = snapshot(store)
    for end in ("close", "leave", "forget", "exit"):
        if not (child := os.fork()):
            with pytest.raises(StoreError, match="which this is a fork; read it with StoreReader"):
                store.commit()
            with pytest.raises(StoreError, match="which this is a fork; read it with StoreReader"):
                store.roll_back(0)
            if end == "close":
                store.close()
            elif end == "leave":
                store.__exit__(None, None, None)
            elif end == "forget":
                del store
            sys.exit(7)  # with all that an interpreter does at its end
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert snapshot(store) == live
        assert (path / "live" / "rank-0.state").exists()
        assert StoreReader(path).generation == 1
    with pytest.raises(AssertionError, match="is being written by another process"):
        in_a_new_interpreter(open_and_close, path)
    assert store.commit() == 2
    store.close()
    assert (StoreReader(path).state == 0.5).all()


def open_and_close(folder: str) -> None:
    open_wide(Path(folder)).close()


def test_a_fork_of_a_writer_can_do_it_no_harm(tmp_path: Path) -> None:
    in_a_new_interpreter(fork_a_writer, tmp_path)


# Readers beside a writer


def write_levels(folder: str, generations: str) -> None:
    count = int(generations)
    with open_wide(Path(folder)) as store:
        for generation in range(1, count + 1):
            store.fuse(*EVERY_ROW, level(generation / count), epoch=generation)
            assert store.commit() == generation
            if generation == 1:
                say_ready()


def watch(path: Path, count: int) -> tuple[int, int]:
    """Open the store until its last generation is there: how many opens, how many generations."""
    opens, seen = 0, 0
    last = 0
    while last < count:
        reader = StoreReader(path)
        assert reader.generation >= last
        seen += reader.generation > last
        last = reader.generation
        assert (reader.state == last / count).all(), last
        assert (reader.rows["updates"] == last).all(), last
        assert (reader.rows["last_epoch"] == last).all(), last
        opens += 1
    return opens, seen


def test_a_reader_beside_a_writer_sees_whole_generations_only(tmp_path: Path) -> None:
    with started(write_levels, tmp_path, 64) as writer:
        opens, seen = watch(tmp_path, 64)
        assert writer.wait() == 0
    assert opens >= seen > 8


def test_a_reader_that_a_writer_overtakes_reads_what_is_newest_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, overtaken = Path.is_dir, False

    def overtake(path: Path) -> bool:
        nonlocal overtaken
        if not overtaken and path.name.isdecimal():
            overtaken = True
            assert [store.commit(), store.commit()] == [3, 4]
        return look(path)

    with open_wide(tmp_path) as store:
        assert [store.commit(), store.commit()] == [1, 2]
        with monkeypatch.context() as patch:
            patch.setattr(Path, "is_dir", overtake)
            assert StoreReader(tmp_path).generation == 4
        assert overtaken
        assert store.generations() == [3, 4]  # those of the first look are gone


@pytest.mark.reliability
def test_readers_beside_a_writer_never_see_a_torn_row(
    tmp_path: Path, tally: Callable[[str, int], None]
) -> None:
    spawning = multiprocessing.get_context("spawn")
    with started(write_levels, tmp_path, 1024) as writer:
        with ProcessPoolExecutor(2, mp_context=spawning) as pool:
            watched = list(pool.map(watch, [tmp_path] * 2, [1024] * 2))
        assert writer.wait() == 0
    assert min(seen for _, seen in watched) > 100
    tally("whole generations read beside a writer", sum(opens for opens, _ in watched))


# Many opens


def held(path: Path) -> tuple[list[str], list[str]]:
    """This process's descriptors and memory maps of files below a folder."""
    descriptors = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            descriptors.append(str(link.readlink()))
    maps = Path("/proc/self/maps").read_text().splitlines()
    return [name for name in descriptors if str(path) in name], [m for m in maps if str(path) in m]


def test_what_holds_a_file_is_counted(tmp_path: Path) -> None:
    committed_wide(tmp_path, 0.5)
    reader = StoreReader(tmp_path)
    assert [len(kind) for kind in held(tmp_path)] == [1, 1]
    with open_wide(tmp_path):
        assert [len(kind) for kind in held(tmp_path)] == [3, 2]
    del reader
    assert held(tmp_path) == ([], [])


def open_to_read(path: Path) -> None:
    assert StoreReader(path).state.any()


def open_to_write(path: Path) -> None:
    with MemmapStore(path, header_of(), PAIRS, resume=True) as store:
        store.fuse(*batch((0, 1)), random_maps(1))


def find_damage(path: Path) -> None:
    with pytest.raises(StoreError, match="is damaged"):
        StoreReader(path)
    with pytest.raises(StoreError, match="is damaged"):
        MemmapStore(path, header_of(), PAIRS, resume=True)


@pytest.mark.parametrize("use", [open_to_read, open_to_write, find_damage])
@pytest.mark.slow
def test_a_thousand_opens_leave_nothing_open(tmp_path: Path, use: Callable[[Path], None]) -> None:
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        store.fuse(*batch((0, 1)), random_maps(1))
        store.commit()
    if use is find_damage:
        file = folder_of(tmp_path, 1) / "state.npy"
        file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    for _ in range(1000):
        use(tmp_path)
    assert held(tmp_path) == ([], [])
