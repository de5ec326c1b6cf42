"""`.npy` files as the field's code has them; the general rules are in test_exchange."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.store.contract import GRID, PAIRS, random_maps
from tests.store.test_exchange import foreign, refused, some

from oaa_pl.errors import StoreError
from oaa_pl.store.archives import read_npy
from oaa_pl.store.exchange import export_maps
from oaa_pl.store.pickled import read_arrays


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    return folder


def save(path: Path, content: object) -> None:
    np.save(path, content, allow_pickle=True)  # type: ignore[arg-type]  # a dictionary, as they do


def test_plain_numpy_reads_our_file_as_irn_does(tmp_path: Path) -> None:
    store = some()
    sizes: list[str] = []

    def size_of(name: str) -> tuple[int, int]:
        sizes.append(name)
        return (13, 17)

    export_maps(store, tmp_path / "maps", "npy", size_of=size_of)
    held = np.load(tmp_path / "maps/c.npy", allow_pickle=True).item()
    cams = np.pad(held["high_res"], ((1, 0), (0, 0), (0, 0)), constant_values=0.3)
    keys = np.pad(held["keys"] + 1, (1, 0), mode="constant")
    assert keys.tolist() == [0, 1, 3]
    labels = keys[np.argmax(cams, axis=0)]
    assert labels.shape == (13, 17)
    assert np.array_equal(held["cam"], store.maps(2).attention)
    assert sizes == ["a", "c", "d"]


def test_without_photos_there_are_the_stores_own_maps_alone(tmp_path: Path) -> None:
    export_maps(some(), tmp_path / "maps", "npy")
    held = np.load(tmp_path / "maps/c.npy", allow_pickle=True).item()
    assert set(held) == {"keys", "cam", "updates", "last_epoch", "origin"}


def test_the_coarse_maps_of_our_own_file_come_back_to_the_last_bit(tmp_path: Path) -> None:
    store = some()
    export_maps(store, tmp_path / "maps", "npy", size_of=lambda _: (13, 17))
    found = read_npy(tmp_path / "maps/c.npy", [0, 2])
    assert np.array_equal([one.attention for one in found], store.maps(2).attention)


COARSE, FINE = random_maps(2), np.linspace(0, 1, 2 * 9 * 8, dtype=np.float32).reshape(2, 9, 8)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # irn: tensors and arrays.
        ({"keys": torch.tensor([0, 2]), "cam": torch.from_numpy(COARSE), "high_res": FINE}, FINE),
        ({"keys": torch.tensor([0, 2]), "cam": torch.from_numpy(COARSE)}, COARSE),
        # CLIP-ES: half precision.
        (
            {"keys": np.array([0, 2]), "attn_highres": FINE.astype(np.float16)},
            FINE.astype(np.float16),
        ),
        # WeakTr, SEAM: a map per class number.
        ({0: FINE[0], 2: FINE[1]}, FINE),
        # Tensors that numpy cannot read as they are.
        ({"keys": [0, 2], "cam": torch.ones(2, 3, 4).bfloat16()}, np.ones((2, 3, 4))),
        ({"keys": [0, 2], "cam": torch.ones(2, 3, 4).requires_grad_()}, np.ones((2, 3, 4))),
        ({np.int64(0): FINE[0], np.int64(2): FINE[1]}, FINE),
    ],
    ids=["irn", "irn, coarse", "CLIP-ES", "WeakTr", "bfloat16", "gradient", "numpy keys"],
)
def test_files_of_other_code_are_read(maps: Path, content: object, expected: np.ndarray) -> None:
    save(maps / "c.npy", content)
    found = read_npy(maps / "c.npy", [0, 2])
    assert [one.category for one in found] == [0, 2]
    assert np.array_equal([one.attention for one in found], expected.astype(np.float32))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_numpy_has_used_is_read(maps: Path, protocol: int) -> None:
    array = np.array({"keys": np.array([1]), "cam": COARSE[:1]}, dtype=object)
    with (maps / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        pickle.dump(array, file, protocol=protocol)
    if protocol == 2:  # Python 2's: bytes go through a codec, which is not an array
        with pytest.raises(StoreError, match="holds more than arrays"):
            read_npy(maps / "a.npy", [1])
    else:
        assert np.array_equal(read_npy(maps / "a.npy", [1])[0].attention, COARSE[0])


def test_other_code_s_file_becomes_a_store(maps: Path, tmp_path: Path) -> None:
    save(maps / "c.npy", {"keys": np.array([2, 0]), "cam": COARSE})
    store = foreign(maps, tmp_path / "store")
    assert np.array_equal(store.dense(2)[[2, 0]], COARSE)


class Touch:
    """Makes a file when it is unpickled by an ordinary reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def test_nothing_in_a_pickle_is_run(maps: Path) -> None:
    victim = maps / "made"
    save(maps / "a.npy", {"keys": np.array([1]), "cam": Touch(victim)})
    with pytest.raises(StoreError, match=r"holds more than arrays \((posix|os)\.mkdir\)"):
        read_arrays(maps / "a.npy")
    assert not victim.exists()
    np.load(maps / "a.npy", allow_pickle=True)  # the danger is real
    assert victim.exists()


class Sneaky:
    def __reduce__(self) -> tuple[object, ...]:
        return (eval, ("1",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"keys": Sneaky()}, r"is a pickle that holds more than arrays \(builtins\.eval\)"),
        ({"keys": np.array([1]), "cam": {1, 2}}, r"must hold .* got \(1,\) and \(\)"),
        ({"keys": np.array([1]), "maps": COARSE[:1]}, "holds keys, maps, expected `keys` and one"),
        ({"cam": COARSE[:1]}, "holds cam, expected `keys`"),
        ({"keys": [1], "cam": [[1, 2], [3]]}, r"is not a readable .* \(ValueError\)"),
        ({True: COARSE[0]}, "holds True, expected `keys`"),
        ({"keys": np.array([0]), "cam": COARSE[:1]}, r"`keys` must be 1 numbers of \[1\], got"),
        ({"keys": np.array([1]), "high_res": COARSE[:1] * 9}, r"`high_res` must be in \[0, 1\]"),
        ({7: COARSE[0]}, r"`keys` must be 1 numbers of \[1\], got \[7\]"),
        ({0: COARSE[0], 1: COARSE[0, :1]}, "the maps must have one size"),
        (COARSE, r"holds one array \(2, 3, 4\) of float32, expected a dictionary"),
        (np.array([{}, {}]), r"holds one array \(2,\) of object"),
        ([1], r"holds one array \(1,\) of int64"),
        (np.array("text", dtype=object), "holds str, expected a dictionary of arrays"),
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_named(
    maps: Path, content: object, message: str
) -> None:
    save(maps / "a.npy", content)
    refused(maps, rf"maps/a\.npy:? {message}")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff"])
def test_a_file_that_is_no_npy_is_named(maps: Path, content: bytes) -> None:
    (maps / "a.npy").write_bytes(content)
    refused(maps, r"maps/a\.npy is not a readable \.npy file of maps")


def test_an_image_without_tags_has_no_file(tmp_path: Path) -> None:
    export_maps(some(), tmp_path / "maps", "npy")
    assert not (tmp_path / "maps" / f"{PAIRS.ids[1]}.npy").exists()
    assert some().header.grid == GRID
