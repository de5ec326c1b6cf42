"""Files of a store that nobody wrote like this: each is refused by name, and left as it was.

A checksum that no longer fits would hide what lies behind it. So most cases come twice: with the
checksums as they were, and with all of them made anew to fit the malformed file.
"""

import ast
import io
import json
import signal
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.contract import EVERY_FUSION, GRID, PAIRS, batch, header_of, random_maps, snapshot

from oaa_pl.errors import StoreError
from oaa_pl.store.damage import examine
from oaa_pl.store.layout import ROW
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader, read_identity

ALL = [(0, 1), (2, 0), (2, 2), (3, 0), (3, 1), (3, 2)]
HEADER = header_of("running_mean")
NEWEST = "generations/000002/"
SECONDS = 10  # in which a store of six maps is refused, also on a busy machine

Files = dict[str, bytes]


def sound_store(path: Path) -> Files:
    with MemmapStore(path, HEADER, PAIRS) as store:
        for epoch in range(2):
            store.fuse(*batch(*ALL), random_maps(6, epoch), epoch=epoch)
            store.commit()
    (path / "writer.lock").unlink()
    (path / "live").rmdir()
    return files_of(path)


def files_of(path: Path) -> Files:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != "writer.lock" and file.parent.name != "live"
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return sound_store(tmp_path_factory.mktemp("sound") / "store")


# What may come of a malformed file


class Slow(BaseException):
    """It took too long."""


@contextmanager
def at_once() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise Slow(f"not refused within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Judge:
    """Puts malformed files into a sound store, opens it in every way, and counts refusals."""

    def __init__(self, path: Path, sound: Files) -> None:
        self.path, self.sound = path, sound
        self.refused: set[int] = set()
        self.accepted = 0
        self.put(sound)
        self.header, self.pairs = read_identity(path)
        self.bits = snapshot(StoreReader(path))

    def put(self, files: Files) -> None:
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def opened(self, open_it: Callable[[], Any]) -> Any:
        """What was opened; None where it was refused, which must name the place."""
        try:
            return open_it()
        except StoreError as error:
            if str(self.path) not in str(error):
                raise AssertionError("the message does not say where") from error
            return None

    def __call__(self, files: Files) -> None:
        if all(self.sound[name] == content for name, content in files.items()):
            return
        self.put(files)
        try:
            with at_once(), warnings.catch_warnings():
                # numpy reads what Python 2 wrote, and says so.
                warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required")
                self.judge(files)
            assert files_of(self.path) == self.sound | files
        finally:
            self.put({name: self.sound[name] for name in files})

    def judge(self, files: Files) -> None:
        identity = self.opened(lambda: read_identity(self.path))
        reader = self.opened(lambda: StoreReader(self.path))
        assert self.opened(lambda: MemmapStore(self.path, HEADER, PAIRS)) is None
        writer = self.opened(lambda: MemmapStore(self.path, HEADER, PAIRS, resume=True))
        found = examine(self.path, 2, self.header, len(ALL))
        same = identity is not None and (identity[0], identity[1].fingerprint) == (
            self.header,
            self.pairs.fingerprint,
        )
        if writer is not None:
            assert same
            assert reader is not None
            assert snapshot(writer) == snapshot(reader)
            writer.close()
        if identity is not None:
            assert same or is_a_store(self.path)
        if reader is not None:
            assert identity is not None
            wrong = rows_that_differ(reader, self.bits)
            assert found.damaged.tolist() == wrong
            assert bool(found.problems) == bool(wrong)
            # Maps that were changed together with their seal are another's work, and sound as far
            # as the seal goes; only the rows' own checksums tell.
            assert not wrong or self.only_values_and_seal_differ(files)
        elif same:
            assert found.problems
        if reader is None and writer is None:
            self.refused.add(hash(tuple(sorted(files.items()))))
        else:
            self.accepted += 1

    def only_values_and_seal_differ(self, files: Files) -> bool:
        changed = {NEWEST + "state.npy", NEWEST + "rows.npy"} & set(files)
        starts = {name: taken_apart(self.sound[name]).start for name in changed}
        return NEWEST + "seal.json" in files and all(
            files[name][:start] == self.sound[name][:start]
            and len(files[name]) == len(self.sound[name])
            for name, start in starts.items()
        )


def rows_that_differ(reader: StoreReader, bits: tuple[bytes, bytes]) -> list[int]:
    state = np.frombuffer(bits[0], HEADER.rule.dtype).reshape(HEADER.state_shape(len(ALL)))
    rows = np.frombuffer(bits[1], ROW)
    return [
        row
        for row in range(len(ALL))
        if reader.state[row].tobytes() != state[row].tobytes() or reader.rows[row] != rows[row]
    ]


def is_a_store(path: Path) -> bool:
    """Whether header and list are a store's, if another's than before: read word by word."""
    raw = (path / "header.json").read_bytes().decode()
    header = json.loads(raw)
    crc = header.pop("crc32")
    lines = (path / "images.txt").read_bytes().decode().split("\n")
    known: list[str] = header["classes"]
    words = [line.split(" ") for line in lines[:-1]]
    order = [[known.index(word) for word in present] for _, *present in words]
    names = [name for name, *_ in words] + known
    text = json.dumps([known, "\n".join(lines)])
    return all(
        (
            list(header) == list(json.loads(HEADER.dump()))[:-1],
            raw == json.dumps({**header, "crc32": crc}, indent=1) + "\n",
            crc == zlib.crc32(json.dumps(header).encode()),
            header["version"] == 1 and type(header["version"]) is int,
            all(type(name) is str and name and not set(name) & SPACES for name in names),
            len(set(known)) == len(known),
            len({name for name, *_ in words}) == len(words),
            header["fingerprint"] == sha256(text.encode()).hexdigest(),
            [type(side) is int and 1 <= side <= 4096 for side in header["grid"]] == [True] * 2,
            header["fusion"] in EVERY_FUSION,
            type(header["gate"]) is type(header["normalisation"]) is str,
            type(header["first_epoch"]) is int,
            all(present == sorted(set(present)) for present in order),
            lines[-1] == "",
        )
    )


SPACES = {chr(code) for code in range(0x3001) if chr(code).isspace()}

# Malformed text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.sampled_from([2**31, 2**63, 2**64, -(2**70), 10**400])
    | st.floats()
    | st.sampled_from(["", "maximum", "cat", "3", " cat", "cat ", "a b", "\0", "\ud800", "größe"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
DEEP = st.sampled_from([20, 100, 200, 300, 400, 600, 800, 900, 2_000, 100_000])
NUMBERS = st.sampled_from(["1e999", "-1e999", "NaN", "9" * 4000, "9" * 5000, "-0", "3.0", "1E0"])
HEADER_WAYS = [
    "value", "value", "value", "deep", "number", "key", "twice", "layout", "json", "bytes",
]  # fmt: skip
MARK = "a value that stands for another"
HEADER_KEYS = list(json.loads(HEADER.dump()))[:-1]


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Bits flipped, the end cut off, or something put in: of any file."""

    def flip(at: tuple[int, int]) -> bytes:
        place = at[0] % len(content)
        return content[:place] + bytes([content[place] ^ at[1]]) + content[place + 1 :]

    def put_in(at: tuple[int, bytes]) -> bytes:
        place = at[0] % (len(content) + 1)
        return content[:place] + at[1] + content[place:]

    places = st.integers(0, len(content))
    return (
        st.tuples(places, st.integers(1, 255)).map(flip)
        | places.map(lambda place: content[:place])
        | st.tuples(places, st.binary(min_size=1, max_size=9)).map(put_in)
        | st.binary(max_size=200)
    )


def with_checksum(header: dict[str, Any], value: str | None = None, indented: str = "") -> str:
    """As a store would write it, whatever it holds; `value` is put where the mark is."""

    def text(**how: Any) -> str:
        return json.dumps(header, **how)

    plain = text() if value is None else text().replace(f'"{MARK}"', value)
    crc = zlib.crc32(plain.encode())
    header = {**header, "crc32": crc}
    whole = text(indent=1) + "\n"
    return whole if value is None else whole.replace(f'"{MARK}"', indented or value)


def nested(depth: int) -> tuple[str, str]:
    """A list in a list in a list: on one line, and as json indents it below a header's key."""
    opening = "".join("[\n" + " " * (level + 2) for level in range(min(depth, 900) - 1))
    closing = "".join(
        "\n" + " " * (level + 1) + "]" for level in reversed(range(min(depth, 900) - 1))
    )
    return "[" * depth + "]" * depth, f"{opening}[]{closing}"


@st.composite
def headers(draw: st.DrawFn, sound: Files) -> Files:
    header = json.loads(sound["header.json"])
    crc = header.pop("crc32")
    key = draw(st.sampled_from(HEADER_KEYS))
    how = draw(st.sampled_from(HEADER_WAYS))
    if how == "bytes":
        return {"header.json": draw(damaged(sound["header.json"]))}
    if how == "json":
        return {"header.json": json.dumps(draw(JSON)).encode()}
    if how == "deep":
        header[key] = MARK
        text = with_checksum(header, *nested(draw(DEEP)))
    elif how == "number":
        header[key] = MARK
        text = with_checksum(header, draw(NUMBERS))
    elif how == "key":
        value = header.pop(key)
        if draw(st.booleans()):
            header[draw(st.text(max_size=9) | st.sampled_from(["rule", "path", "self"]))] = value
        text = with_checksum(header)
    elif how == "twice":
        text = with_checksum(header)
        again = f'"{key}": {json.dumps(draw(JSON))},\n '
        text = text.replace(f'"{key}"', f'{again}"{key}"')
    elif how == "layout":
        whole = {**header, "crc32": crc}
        text = draw(
            st.sampled_from(
                [
                    json.dumps(whole),
                    json.dumps(whole, indent=2) + "\n",
                    json.dumps(whole, sort_keys=True, indent=1) + "\n",
                    sound["header.json"].decode().replace("\n", "\r\n"),
                    "\ufeff" + sound["header.json"].decode(),
                    sound["header.json"].decode() + "\0",
                ]
            )
        )
    else:
        header[key] = draw(JSON | plausible(key))
        text = with_checksum(header)
        if draw(st.integers(0, 4)) == 0:
            text = json.dumps({**header, "crc32": draw(JSON | st.just(crc))}, indent=1) + "\n"
    return {"header.json": text.encode("utf-8", "surrogatepass")}


def plausible(key: str) -> st.SearchStrategy[Any]:
    """Values that are nearly those of the key."""
    sides = st.sampled_from([*GRID, 0, -1, 4096, 4097, 3.0, True, "3", None, 10**30])
    names = st.sampled_from(["cat", "dog", "cow", " cat", "cow\n", "d og", "", 7, None, "\0"])
    near: dict[str, st.SearchStrategy[Any]] = {
        "grid": st.lists(sides, max_size=3) | st.just([1, 12]) | st.just([4, 3]),
        "classes": st.lists(names, max_size=4) | st.permutations(list(PAIRS.classes)),
        "version": st.sampled_from([True, 1.0, "1", 0, 2, -1]),
        "first_epoch": st.sampled_from([True, 0.0, -1, "0", None, [0]]),
        "fusion": st.sampled_from(["maximum", "RUNNING_MEAN", ["running_mean"], {}, None]),
        "fingerprint": st.sampled_from([HEADER.fingerprint.upper(), HEADER.fingerprint[:-1], ""]),
    }
    return near.get(key, st.sampled_from([None, 0, [], {}, ["none"], "none ", "NONE"]))


SEPARATORS = [" ", " ", "  ", "\t", "\r", "\0", "\x0b", "\x1c", "\x85", "\xa0", "\u2028", ",", ""]
LINE_ENDS = ["\n", "\n", "\n", "\r\n", "\r", "\n\n", "\u2029", "\x0c", "\0\n", " \n", ""]
WORDS = [*PAIRS.ids, *PAIRS.classes, "", "größe", "e\u0301", "\0", "\ufeffa", "x" * 3000, "mouse"]


@st.composite
def indices(draw: st.DrawFn, sound: Files) -> Files:
    how = draw(st.sampled_from(["bytes", "join", "lines", "words", "words"]))
    lines = [line.split(" ") for line in sound["images.txt"].decode().split("\n")[:-1]]
    text: str | bytes
    if how == "bytes":
        text = draw(damaged(sound["images.txt"]))
    elif how == "join":
        between, end = draw(st.sampled_from(SEPARATORS)), draw(st.sampled_from(LINE_ENDS))
        text = "".join(between.join(words) + end for words in lines)
    elif how == "lines":
        order = draw(st.lists(st.integers(0, len(lines) - 1), max_size=6))
        text = "".join(" ".join(lines[n]) + "\n" for n in order)
    else:
        n = draw(st.integers(0, len(lines) - 1))
        lines[n] = draw(st.lists(st.sampled_from(WORDS), max_size=5))
        if draw(st.booleans()):
            lines[n] = ["e", *lines[n]]
        text = "".join(draw(st.sampled_from(SEPARATORS[:4])).join(words) + "\n" for words in lines)
    content = text if isinstance(text, bytes) else text.encode()
    return {"images.txt": content} | refingerprinted(draw, sound, content)


def refingerprinted(draw: st.DrawFn, sound: Files, images: bytes) -> Files:
    """A header made anew to fit the list, or none."""
    if draw(st.booleans()):
        return {}
    header = json.loads(sound["header.json"])
    del header["crc32"]
    if draw(st.integers(0, 3)) == 0:
        header["classes"] = draw(plausible("classes"))
    text = json.dumps([header["classes"], images.decode(errors="replace")])
    header["fingerprint"] = sha256(text.encode()).hexdigest()
    return {"header.json": with_checksum(header).encode()}


# Malformed arrays


def npy(text: str, data: bytes, version: tuple[int, int] = (1, 0), least: int = 0) -> bytes:
    """An array file of any header text at all; `least` is how long the header is at least."""
    header = text.encode("utf-8", "surrogatepass").ljust(least - 11)
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    width = 2 if version == (1, 0) else 4
    size = min(len(header), 2**16 - 1).to_bytes(width, "little")
    return b"\x93NUMPY" + bytes(version) + size + header + data


class Described(NamedTuple):
    """An array file taken apart."""

    content: bytes
    header: dict[str, Any]
    data: bytes
    array: np.ndarray

    @property
    def start(self) -> int:
        return len(self.content) - len(self.data)


def taken_apart(content: bytes) -> Described:
    array = np.load(io.BytesIO(content))
    start = len(content) - array.nbytes
    return Described(content, ast.literal_eval(content[10:start].decode()), content[start:], array)


SHAPES = [
    "()", "(0,)", "(6,)", "(7,)", "(-6,)", "(6.0,)", "(True,)", "6", "'6'", "None",
    "(6, 2, 12)", "(6, 2, 4, 3)", "(2, 6, 3, 4)", "(144,)", "(6L,)", "(6L, 2L, 3L, 4L)",
    "(10**9,)", "(10000000000,)", "(4294967296, 4294967296, 4294967296)",
    "(9223372036854775807,)", "(9223372036854775808, 2)", "(0, 9223372036854775808)",
    f"({'9' * 400},)", f"({'1,' * 70})", f"({'0,' * 70})", "(6, 2, 3, -4)", "(-6, -2, 3, 4)",
]  # fmt: skip
DTYPES = [
    "'<u4'", "'>u4'", "'<f4'", "'<i4'", "'|O'", "'O'", "'V13'", "'<U3'", "'M8[ns]'",
    "'nonsense'", "'|V0'", "'<f2,<f2'", "None", "7", "[]", "[('a', '<u4')]", "[('a', '|O')]",
    "()", "{}", "[('a', '<u4', (2,))]", "[('a', '<u4'), ('a', '<u4')]", "['<u4']",
    "('<u4', (2,))",
    "[('updates', '>u4'), ('last_epoch', '<i4'), ('origin', '|u1'), ('checksum', '<u4')]",
    "'" + "(2,)" * 40 + "u4'", "[('a', " * 20 + "'<u4'" + ")]" * 20,
]  # fmt: skip
ORDERS = ["True", "1", "None", "'False'", "[]"]
HEADERS = [
    "", "{", "}", "{}", "[]", "None", "0", "'", "'''", "{'descr': ", "(" * 150, "(" * 9000,
    "-" * 5000 + "1", "[" * 90 + "]" * 90, "1" * 5000, "{'descr': '<u4', 'shape': (6,)}",
    "{'descr': '<u4', 'fortran_order': 0, 'shape': (6,)}", "\\", "\0", "\n x\n  y\n z",
    "lambda: 0", "é" * 9, "{**{}}", "f'{1}'", "'\\d'", "{[]: 1}", "__import__('os').abort()",
    "9**9**9**9", "1_0" * 9000,
    "{'descr': '<u4', 'fortran_order': False, 'shape': (6,), 'more': 1}", "\ud800",
]  # fmt: skip


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def other_arrays(array: np.ndarray) -> list[np.ndarray]:
    flat = np.frombuffer(array.tobytes(), np.uint8)
    return [
        array[:-1],
        np.concatenate([array, array[:1]]),
        array[None],
        array.reshape(-1)[:, None],
        array[..., ::-1],
        array.T,
        np.asfortranarray(array),
        array.astype(array.dtype.newbyteorder(">")),
        array.astype("O"),
        flat,
        flat.view("S1"),
        np.zeros(array.shape, np.float64),
        np.zeros(0),
        np.array(3),
        np.zeros(array.shape, array.dtype),
    ]


def bytes_otherwise(sound: Described) -> st.SearchStrategy[bytes]:
    return damaged(sound.content)


def saved_otherwise(sound: Described) -> st.SearchStrategy[bytes]:
    return st.sampled_from([saved(other) for other in other_arrays(sound.array)])


@st.composite
def described_otherwise(draw: st.DrawFn, sound: Described) -> bytes:
    parts = {key: repr(value) for key, value in sound.header.items()}
    key = draw(st.sampled_from(sorted(parts)))
    parts[key] = draw(
        st.sampled_from({"shape": SHAPES, "descr": DTYPES, "fortran_order": ORDERS}[key])
    )
    if draw(st.integers(0, 9)) == 0:
        parts.pop(draw(st.sampled_from(sorted(parts))))
    text = "{" + ", ".join(f"{key!r}: {value}" for key, value in parts.items()) + "}"
    end = draw(st.sampled_from([None, None, 0, 7, len(sound.data) // 2]))
    return npy(text, sound.data[:end], least=sound.start)


def text_otherwise(sound: Described) -> st.SearchStrategy[bytes]:
    return (st.sampled_from(HEADERS) | st.text(max_size=60)).map(lambda text: npy(text, sound.data))


@st.composite
def version_otherwise(draw: st.DrawFn, sound: Described) -> bytes:
    version = draw(st.sampled_from([(1, 0), (2, 0), (3, 0), (0, 0), (1, 1), (4, 0), (255, 9)]))
    made = npy(repr(sound.header), sound.data, version, sound.start)
    if draw(st.booleans()):
        made = made[:8] + draw(st.binary(min_size=4, max_size=4)) + made[12:]
    return made


@st.composite
def archived(draw: st.DrawFn, sound: Described) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        name = draw(st.sampled_from(["arr_0.npy", "x", "state.npy"]))
        archive.writestr(zipfile.ZipInfo(name), sound.content)
    whole = file.getvalue()
    return whole[: draw(st.sampled_from([len(whole), 4, 30, len(whole) - 30]))]


def pickled(sound: Described) -> st.SearchStrategy[bytes]:
    kinds = [b"\x80\x04N.", b"cos\nabort\n(tR.", saved(np.array([{}]))]
    return st.sampled_from([*kinds, *(kind + sound.data for kind in kinds)])


OTHERWISE = [
    bytes_otherwise, saved_otherwise, described_otherwise, described_otherwise, text_otherwise,
    version_otherwise, archived, pickled,
]  # fmt: skip


@st.composite
def arrays(draw: st.DrawFn, sound: Files) -> Files:
    name = NEWEST + draw(st.sampled_from(["state.npy", "rows.npy"]))
    made = draw(draw(st.sampled_from(OTHERWISE))(taken_apart(sound[name])))
    return resealed(sound, name, made) if draw(st.integers(0, 3)) else {name: made}


def listed(sound: Files) -> Iterator[Files]:
    """Everything in the lists above once, behind a seal that fits it."""
    for short in ("state.npy", "rows.npy"):
        name = NEWEST + short
        parts = taken_apart(sound[name])
        for key, values in (("shape", SHAPES), ("descr", DTYPES), ("fortran_order", ORDERS)):
            for value in values:
                text = repr({**parts.header, key: MARK}).replace(repr(MARK), value)
                yield resealed(sound, name, npy(text, parts.data, least=parts.start))
        for text in HEADERS:
            yield resealed(sound, name, npy(text, parts.data))
        for other in other_arrays(parts.array):
            yield resealed(sound, name, saved(other))


def resealed(sound: Files, name: str, made: bytes) -> Files:
    return {name: made, NEWEST + "seal.json": sealed({**sound, name: made})}


def sealed(files: Files) -> bytes:
    seal = {
        name: {"bytes": len(files[NEWEST + name]), "crc32": zlib.crc32(files[NEWEST + name])}
        for name in ("state.npy", "rows.npy")
    }
    return (json.dumps(seal, indent=1) + "\n").encode()


@st.composite
def seals(draw: st.DrawFn, sound: Files) -> Files:
    name = NEWEST + "seal.json"
    seal = json.loads(sound[name])
    how = draw(st.sampled_from(["bytes", "json", "value", "value", "deep", "number", "key"]))
    file = draw(st.sampled_from(sorted(seal)))
    key = draw(st.sampled_from(["bytes", "crc32"]))
    if how == "bytes":
        return {name: draw(damaged(sound[name]))}
    if how == "json":
        return {name: json.dumps(draw(JSON)).encode()}
    if how == "key":
        place = draw(st.sampled_from([seal, seal[file]]))
        del place[draw(st.sampled_from(sorted(place)))]
        return {name: (json.dumps(seal, indent=1) + "\n").encode()}
    near = st.sampled_from([str(seal[file][key]), float(seal[file][key]), -seal[file][key], True])
    place, inner = draw(st.sampled_from([(seal, file), (seal[file], key)]))
    place[inner] = draw(JSON | near) if how == "value" else MARK
    text = json.dumps(seal, indent=1) + "\n"
    if how != "value":
        value = nested(draw(DEEP))[0] if how == "deep" else draw(NUMBERS)
        text = text.replace(f'"{MARK}"', value)
    return {name: text.encode("utf-8", "surrogatepass")}


def malformed(
    judge: Judge, kinds: Callable[[Files], st.SearchStrategy[Files]], examples: int
) -> int:
    """Judges that many examples; returns how many different ones were refused."""
    before = len(judge.refused)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(kinds(judge.sound))
    def each(files: Files) -> None:
        judge(files)

    each()
    return len(judge.refused) - before


KINDS = [headers, indices, arrays, seals]


@pytest.fixture
def judge(tmp_path: Path, sound: Files) -> Judge:
    return Judge(tmp_path / "store", sound)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_some_malformed_files_are_refused_by_name(
    judge: Judge, kind: Callable[[Files], st.SearchStrategy[Files]]
) -> None:
    assert malformed(judge, kind, 60) > 30


def test_a_lost_header_is_no_leave_to_make_another(judge: Judge) -> None:
    (judge.path / "header.json").unlink()
    before = files_of(judge.path)
    with pytest.raises(StoreError, match=r"header\.json is missing, so it is unknown whose maps"):
        MemmapStore(judge.path, HEADER, PAIRS)
    with pytest.raises(StoreError, match="holds no attention store"):
        StoreReader(judge.path)
    assert files_of(judge.path) == before


@pytest.mark.reliability
def test_thousands_of_malformed_files_are_refused_by_name(
    judge: Judge, tally: Callable[[str, int], None]
) -> None:
    for files in listed(judge.sound):
        judge(files)
    refused = {kind.__name__: malformed(judge, kind, 850) for kind in KINDS}
    assert min(refused.values()) >= 300, refused
    assert len(judge.refused) >= 2000
    tally("malformed headers, indices and arrays refused", len(judge.refused))
