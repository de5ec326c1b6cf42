import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.store.contract import EVERY_FUSION, GRID, PAIRS, batch, header_of, random_maps

from oaa_pl.errors import StoreError
from oaa_pl.store import map_files
from oaa_pl.store.archives import read_npy, read_npz
from oaa_pl.store.base import MapStore
from oaa_pl.store.exchange import FORMATS, export_maps, import_maps
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, ORIGIN_NONE, Pairs
from oaa_pl.store.memory import MemoryStore
from oaa_pl.store.reader import StoreReader, read_identity

HALF = 2.0**-12  # what float16 may be off, below 1
MADE = [(0, 1), (2, 0), (2, 2), (3, 1)]  # of image c both classes, of d one of three
EVERY_FORMAT = pytest.mark.parametrize("kind", FORMATS)
EVERY_ARCHIVE = pytest.mark.parametrize("kind", ["npz", "npy"])
READ = {
    "png": map_files._read_png,
    "npz": lambda path: read_npz(path, [1]),
    "npy": lambda path: read_npy(path, [1]),
}


def some(fusion: str = "maximum", pairs: Pairs = PAIRS, seed: int = 0) -> MemoryStore:
    """A store with maps of `MADE`: the last is a fallback, two more rows have none."""
    store = MemoryStore(header_of(fusion, pairs), pairs)
    maps = np.random.default_rng(seed).random((4, *GRID), dtype=np.float32)
    for epoch in (3, 5):
        store.fuse(*batch(*MADE[:3]), maps[:3] / (8 - epoch), epoch=epoch)
    store.fill(*batch(MADE[3]), maps[3:], epoch=7)
    return store


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def again(folder: Path, path: Path) -> StoreReader:
    """Import an export that knows its own data set."""
    import_maps(folder, path, *read_identity(folder))
    return StoreReader(path)


def foreign(folder: Path, path: Path, pairs: Pairs = PAIRS) -> StoreReader:
    """Import maps of other code."""
    import_maps(folder, path, header_of(pairs=pairs), pairs)
    return StoreReader(path)


def refused(folder: Path, match: str, pairs: Pairs = PAIRS) -> None:
    """An import fails with a named error, and leaves nothing beside the folder."""
    with pytest.raises(StoreError, match=match):
        foreign(folder, folder.parent / "store", pairs)
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    return folder


def save_grey(path: Path, grey: np.ndarray) -> None:
    Image.fromarray(grey.astype(np.uint8)).save(path)


# Export


def test_pngs_are_8_bit_grey_and_named_by_id_and_class(tmp_path: Path) -> None:
    store, told = some(), []
    assert export_maps(store, tmp_path / "maps", "png", told.append) == 4
    names = {"header.json", "images.txt", "a_1.png", "c_0.png", "c_2.png", "d_1.png"}
    assert set(files(tmp_path / "maps")) == names
    assert told == [1] * 4
    for image, category in MADE:
        with Image.open(tmp_path / "maps" / f"{PAIRS.ids[image]}_{category}.png") as png:
            assert (png.mode, png.format, png.size) == ("L", "PNG", GRID[::-1])
            assert np.array_equal(png, np.rint(store.dense(image)[category] * 255))


def test_archives_hold_the_maps_of_an_image_and_what_is_known_of_them(tmp_path: Path) -> None:
    store = some()
    assert export_maps(store, tmp_path / "maps", "npz") == 4
    assert set(files(tmp_path / "maps")) == {"header.json", "images.txt", "a.npz", "c.npz", "d.npz"}
    with np.load(tmp_path / "maps" / "c.npz", allow_pickle=False) as archive:
        assert set(archive) == {"keys", "cam", "updates", "last_epoch", "origin"}
        assert archive["keys"].tolist() == [0, 2]
        assert archive["cam"].dtype == np.float32
        assert np.array_equal(archive["cam"], store.maps(2).attention)
        assert archive["updates"].tolist() == [2, 2]
        assert archive["last_epoch"].tolist() == [5, 5]
        assert archive["origin"].tolist() == [ORIGIN_ACCEPTED] * 2


@EVERY_FORMAT
def test_an_export_says_which_data_set_it_is_of(tmp_path: Path, kind: str) -> None:
    store = some("running_mean")
    export_maps(store, tmp_path / "maps", kind)
    header, pairs = read_identity(tmp_path / "maps")
    assert header == store.header
    assert pairs.fingerprint == PAIRS.fingerprint


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="format must be one of png, npz, npy, got 'jpg'"):
        export_maps(some(), tmp_path / "maps", "jpg")
    assert not (tmp_path / "maps").exists()


def test_an_export_never_mixes_with_what_is_there(tmp_path: Path) -> None:
    export_maps(some(), tmp_path / "maps", "png")
    before = files(tmp_path)
    with pytest.raises(StoreError, match="maps already holds something; choose a new folder"):
        export_maps(some(), tmp_path / "maps", "npz")
    assert files(tmp_path) == before


def test_an_export_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, write = [4], Path.write_bytes

    def until_full(path: Path, content: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", until_full)
    with pytest.raises(StoreError, match=r"maps cannot be made \(No space left"):
        export_maps(some(), tmp_path / "maps")
    assert list(tmp_path.iterdir()) == []


# Round trips


@EVERY_FORMAT
@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_what_was_exported_comes_back(tmp_path: Path, fusion: str, kind: str) -> None:
    store = some(fusion)
    export_maps(store, tmp_path / "maps", kind)
    back = again(tmp_path / "maps", tmp_path / "store")
    off = 0.5 / 255 + HALF if kind == "png" else HALF
    for image in range(4):
        assert np.abs(back.dense(image) - store.dense(image)).max() <= off
    assert back.missing().tolist() == store.missing().tolist() == [[3, 0], [3, 2]]
    assert back.header.fusion == "maximum"
    assert back.generations() == [1]


@EVERY_ARCHIVE
def test_an_archive_brings_a_maximum_back_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    store = some()
    export_maps(store, tmp_path / "maps", kind)
    back = again(tmp_path / "maps", tmp_path / "store")
    assert np.array_equal(back.state, store.state)
    assert back.header == store.header


@EVERY_ARCHIVE
def test_an_archive_remembers_epoch_and_fallback(tmp_path: Path, kind: str) -> None:
    export_maps(some(), tmp_path / "maps", kind)
    rows = again(tmp_path / "maps", tmp_path / "store").rows
    accepted, none = ORIGIN_ACCEPTED, ORIGIN_NONE
    assert rows["origin"].tolist() == [accepted, accepted, accepted, none, ORIGIN_FALLBACK, none]
    assert rows["last_epoch"].tolist() == [5, 5, 5, 0, 7, 0]
    assert rows["updates"].tolist() == [1, 1, 1, 0, 0, 0]


def test_a_png_counts_as_accepted(tmp_path: Path) -> None:
    export_maps(some(), tmp_path / "maps", "png")
    assert again(tmp_path / "maps", tmp_path / "store").rows["origin"].tolist() == [
        1,
        1,
        1,
        0,
        1,
        0,
    ]


@EVERY_FORMAT
@pytest.mark.parametrize(
    "ids",
    [
        ("beach/a", "beach/b", "c", "beach/c"),
        ("a.b", ".hidden", "a.jpg", "a_1"),
        ("größe", "猫", "a'b\"", "%41*?[x]"),
        ("a", "a_0", "a_0_1", "_1"),
    ],
)
def test_any_id_names_a_file(tmp_path: Path, kind: str, ids: tuple[str, ...]) -> None:
    pairs = Pairs(ids, PAIRS.classes, PAIRS.labels)
    store = some(pairs=pairs)
    export_maps(store, tmp_path / "maps", kind)
    back = again(tmp_path / "maps", tmp_path / "store")
    assert back.pairs.ids == ids
    assert back.missing().tolist() == store.missing().tolist()
    off = 0.5 / 255 + HALF if kind == "png" else HALF
    assert all(np.abs(back.dense(n) - store.dense(n)).max() <= off for n in range(4))


@EVERY_FORMAT
@pytest.mark.parametrize("name", ["../a", "x/../../a", "/a", "a\0b"])
def test_an_id_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    pairs = Pairs((name,), ("cat",), np.ones((1, 1), bool))
    store = MemoryStore(header_of(pairs=pairs), pairs)
    store.fuse(*batch((0, 0)), random_maps(1))
    with pytest.raises(StoreError, match="cannot name a file inside a folder"):
        export_maps(store, tmp_path / "deep" / "maps", kind)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "maps").mkdir()
    refused(tmp_path / "maps", "cannot name a file inside a folder", pairs)


@EVERY_FORMAT
def test_a_store_without_any_pair_has_nothing_to_bring_back(tmp_path: Path, kind: str) -> None:
    pairs = Pairs(("a",), ("cat",), np.zeros((1, 1), bool))
    store = MemoryStore(header_of(pairs=pairs), pairs)
    assert export_maps(store, tmp_path / "maps", kind) == 0
    refused(tmp_path / "maps", "holds no map", pairs)


# Maps of other code


def test_maps_of_other_code_are_read(maps: Path, tmp_path: Path) -> None:
    grey = np.arange(12).reshape(GRID) * 20
    save_grey(maps / "a_1.png", grey)
    np.savez(maps / "c.npz", keys=[2, 0], cam=random_maps(2).astype(np.float64))
    store = foreign(maps, tmp_path / "store")
    assert store.dense(0)[1] == pytest.approx(grey / 255, abs=HALF)
    assert np.array_equal(store.dense(2)[[2, 0]], random_maps(2))
    assert store.missing().tolist() == [[3, 0], [3, 1], [3, 2]]


def test_maps_of_one_image_in_two_formats_are_refused(maps: Path) -> None:
    save_grey(maps / "c_2.png", np.full(GRID, 255))
    np.savez(maps / "c.npz", keys=[0], cam=random_maps(1))
    refused(maps, r"maps of image 'c' twice \(c_2\.png, c\.npz\): which ones are meant\?")
    (maps / "c_2.png").rename(maps / "c_02.png")
    refused(maps, r"c_02\.png: write its class as 2, without zeros before it")


@pytest.mark.parametrize("size", [(1, 1), (6, 8), (3, 9), (300, 400), (2, 2)])
def test_a_map_of_another_size_is_brought_to_the_grid(
    maps: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    grey = np.full(size, 102)
    save_grey(maps / "a_1.png", grey)
    np.savez(maps / "d.npz", keys=[1], cam=np.ones((1, *size), np.float32))
    store = foreign(maps, tmp_path / "store")
    assert store.dense(0)[1] == pytest.approx(np.full(GRID, 0.4), abs=HALF)
    assert np.array_equal(store.dense(3)[1], np.ones(GRID))


def test_a_larger_map_is_averaged_over_each_cell(maps: Path, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (9, 20))
    save_grey(maps / "a_1.png", grey)
    cells = grey.reshape(3, 3, 4, 5).mean(axis=(1, 3)) / 255
    assert foreign(maps, tmp_path / "store").dense(0)[1] == pytest.approx(cells, abs=HALF)


def test_files_of_other_images_are_passed_over(maps: Path, tmp_path: Path) -> None:
    for name in ("a_1.png", "elsewhere_7.png", "a_x.png", "sub_1.png/a_9.png"):
        (maps / name).parent.mkdir(exist_ok=True)
        save_grey(maps / name, np.zeros(GRID))
    (maps / "notes.txt").write_text("mine")
    assert foreign(maps, tmp_path / "store").rows["origin"].tolist() == [1, 0, 0, 0, 0, 0]


def test_a_folder_without_a_map_is_refused(maps: Path) -> None:
    (maps / "readme.txt").write_text("")
    refused(maps, "maps holds no map of these images, named like a_0.png, a.npz or a.npy")


@pytest.mark.parametrize("name", ["a_0.png", "a_2.png", "a_3.png", "b_0.png", "d_20.png"])
def test_a_png_of_a_class_that_its_image_does_not_have_is_refused(maps: Path, name: str) -> None:
    save_grey(maps / "c_0.png", np.zeros(GRID))
    save_grey(maps / name, np.zeros(GRID))
    refused(maps, rf"{name} is of class .* of 0\.\.2; classes count from 0")


def bad_png(**how: object) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        kind = {"format": "PNG"} | {key: value for key, value in how.items() if key == "format"}
        Image.new(str(how["mode"]), GRID[::-1]).save(folder / "a_1.png", str(kind["format"]))

    return save


def cut_png(folder: Path) -> None:
    save_grey(folder / "a_1.png", np.random.default_rng(0).integers(0, 256, (40, 40)))
    whole = (folder / "a_1.png").read_bytes()
    (folder / "a_1.png").write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bad_png(mode="RGB"), "must be 8-bit grey .*, is of mode RGB"),
        (bad_png(mode="LA"), ".* is of mode LA"),
        (bad_png(mode="P"), ".* is of mode P"),
        (bad_png(mode="1"), ".* is of mode 1"),
        (bad_png(mode="I;16"), ".* is of mode I;16"),
        (bad_png(mode="L", format="JPEG"), "is not a readable PNG"),
        (cut_png, "is not a readable PNG"),
        (lambda folder: (folder / "a_1.png").write_bytes(b""), "is not a readable PNG"),
        (lambda folder: (folder / "a_1.png").write_text("text"), "is not a readable PNG"),
    ],
)
def test_a_png_that_is_no_map_is_named(
    maps: Path, make: Callable[[Path], None], message: str
) -> None:
    make(maps)
    refused(maps, rf"maps/a_1\.png {message}")


ONE = {"keys": np.array([1]), "cam": np.zeros((1, *GRID), np.float32)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": None}, r"must hold `keys` \(K,\) and `cam` \(K, h, w\), got \(\) and"),
        ({"cam": None}, r"must hold `keys` .* got \(1,\) and \(\)"),
        ({"cam": np.zeros((2, *GRID))}, r"got \(1,\) and \(2, 3, 4\)"),
        ({"cam": np.zeros(GRID)}, r"got \(1,\) and \(3, 4\)"),
        ({"cam": np.zeros((1, 0, 4))}, r"got \(1,\) and \(1, 0, 4\)"),
        ({"keys": np.array(1)}, r"got \(\) and"),
        ({"keys": np.array([0])}, r"`keys` must be 1 numbers of \[1\], got \[0\]"),
        ({"keys": np.array([8])}, r"of \[1\], got \[8\]"),
        ({"keys": np.array([-1])}, r"of \[1\], got \[-1\]"),
        ({"keys": np.array([1.0])}, r"of \[1\], got \[1\.\]"),
        ({"keys": np.array(["cat"])}, r"of \[1\], got \['cat'\]"),
        ({"keys": np.array([1, 1]), "cam": np.zeros((2, *GRID))}, "each class once"),
        ({"cam": np.full((1, *GRID), np.nan)}, r"`cam` must be in \[0, 1\]; divide"),
        ({"cam": np.full((1, *GRID), 1.01)}, r"must be in \[0, 1\]"),
        ({"cam": np.full((1, *GRID), -0.01)}, r"must be in \[0, 1\]"),
        ({"cam": np.full((1, *GRID), 1e300)}, r"must be in \[0, 1\]"),
        ({"cam": np.full((1, *GRID), 200, np.uint8)}, r"must be in \[0, 1\]"),
        ({"cam": np.zeros((1, *GRID), complex)}, r"must be in \[0, 1\]"),
        ({"cam": np.full((1, *GRID), "x")}, r"must be in \[0, 1\]"),
        ({"origin": np.array([0])}, r"`origin` must be 1 numbers of range\(1, 3\), got \[0\]"),
        ({"origin": np.array([3])}, "`origin` must be"),
        ({"origin": np.array([1, 1])}, "`origin` must be"),
        ({"last_epoch": np.array([-1])}, "`last_epoch` must be"),
        ({"last_epoch": np.array([2**31])}, "`last_epoch` must be"),
        ({"last_epoch": np.array([np.inf])}, "`last_epoch` must be"),
        ({"last_epoch": np.array(1)}, "`last_epoch` must be"),
        ({"cam": np.array([{}])}, "is not a readable archive"),
    ],
)
def test_an_archive_that_is_none_of_this_image_s_maps_is_named(
    maps: Path, changes: dict[str, np.ndarray | None], message: str
) -> None:
    held = {key: value for key, value in {**ONE, **changes}.items() if value is not None}
    np.savez(maps / "a.npz", **held)  # type: ignore[arg-type]  # its stub takes no **arrays
    refused(maps, rf"maps/a\.npz.* {message}")


def broken_zip(folder: Path) -> None:
    np.savez_compressed(folder / "a.npz", **ONE)
    whole = bytearray((folder / "a.npz").read_bytes())
    whole[60] ^= 255
    (folder / "a.npz").write_bytes(whole)


def foreign_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("keys", "text")


def npy_as_npz(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(GRID))
    (folder / "a.npz").write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    "make",
    [
        broken_zip,
        foreign_zip,
        npy_as_npz,
        lambda folder: (folder / "a.npz").write_bytes(b""),
        lambda folder: (folder / "a.npz").write_text("text"),
    ],
)
def test_a_file_that_is_no_archive_is_named(maps: Path, make: Callable[[Path], None]) -> None:
    make(maps)
    refused(maps, r"maps/a\.npz (is not a readable archive|must hold)")


@EVERY_FORMAT
def test_no_damage_to_a_file_is_an_unnamed_error(tmp_path: Path, kind: str) -> None:
    export_maps(some(), tmp_path / "maps", kind)
    file = tmp_path / "maps" / ("a_1.png" if kind == "png" else f"a.{kind}")
    sound, rng = file.read_bytes(), np.random.default_rng(0)
    refusals = 0
    for _ in range(300):
        damaged = bytearray(sound)
        for place in rng.integers(0, len(sound), 3):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged[: rng.integers(1, 2 * len(sound))])
        try:
            READ[kind](file)
        except StoreError:
            refusals += 1
    assert refusals > (100 if kind == "npy" else 200)  # a pickle has no checksum


def test_an_archive_without_any_map_has_none(maps: Path, tmp_path: Path) -> None:
    np.savez(maps / "c.npz", keys=[], cam=np.zeros((0, *GRID)))
    save_grey(maps / "a_1.png", np.zeros(GRID))
    assert foreign(maps, tmp_path / "store").rows["origin"].tolist() == [1, 0, 0, 0, 0, 0]


# The new store


@EVERY_FORMAT
def test_an_import_that_failed_is_done_again(tmp_path: Path, kind: str) -> None:
    export_maps(some(), tmp_path / "maps", kind)
    file = (
        tmp_path / "maps" / ("d_1.png" if kind == "png" else f"d.{kind}")
    )  # read after the others
    sound = file.read_bytes()
    file.write_bytes(sound[:20])
    refused(tmp_path / "maps", file.name)
    file.write_bytes(sound)
    assert again(tmp_path / "maps", tmp_path / "store").generations() == [1]


def test_an_import_that_was_killed_is_done_again(tmp_path: Path) -> None:
    export_maps(some(), tmp_path / "maps", "npz")
    again(tmp_path / "maps", tmp_path / "whole")
    left = tmp_path / ".store.partial"  # as far as a killed one may have come, of another grid too
    shutil.copytree(tmp_path / "whole", left)
    shutil.copy(tmp_path / "whole/header.json", left / ".header.json.7.partial")
    (left / "header.json").write_text("half")
    assert np.array_equal(again(tmp_path / "maps", tmp_path / "store").state, some().state)
    assert not left.exists()


@pytest.mark.parametrize("target", ["maps", "store", "file"])
def test_what_exists_is_refused_and_left_alone(tmp_path: Path, target: str) -> None:
    export_maps(some(), tmp_path / "maps", "npz")
    again(tmp_path / "maps", tmp_path / "store")
    (tmp_path / "file").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(StoreError, match=f"{target} already holds something"):
        again(tmp_path / "maps", tmp_path / target)
    assert files(tmp_path) == before


def test_an_imported_store_is_like_any_other(tmp_path: Path) -> None:
    store: MapStore = some()
    export_maps(store, tmp_path / "maps", "npz")
    back = again(tmp_path / "maps", tmp_path / "store")
    export_maps(back, tmp_path / "more", "npz")
    assert np.array_equal(again(tmp_path / "more", tmp_path / "third").state, store.state)
