import errno
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.errors import StoreError
from oaa_pl.store.files import checksum, preallocate, save_array, write_text


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_text_file_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "schön\n")
    assert (tmp_path / "a.txt").read_bytes() == "schön\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_an_array_is_read_back(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float16).reshape(3, 4)
    save_array(tmp_path / "a.npy", array)
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


def test_objects_are_not_pickled_into_an_array_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        save_array(tmp_path / "a.npy", np.array([object()]))


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreError, match=r"a\.txt cannot be written \(No space left on device\)"):
        write_text(tmp_path / "a.txt", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/a\.txt cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "text")


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_reserved_bytes_are_zero_and_have_blocks(tmp_path: Path, size: int) -> None:
    (tmp_path / "live").write_bytes(b"what an earlier run left")
    preallocate(tmp_path / "live", size)
    assert (tmp_path / "live").read_bytes() == bytes(size)
    assert (tmp_path / "live").stat().st_blocks * 512 >= size


def test_a_full_disk_is_said_at_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full_disk, raising=False)
    message = r"live: cannot reserve 64 bytes \(No space left on device\); free disk space"
    with pytest.raises(StoreError, match=message):
        preallocate(tmp_path / "live", 64)
    assert not (tmp_path / "live").exists()


def refusing(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.mark.parametrize("call", [None, refusing], ids=["as on macOS", "no such file system"])
@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_bytes_are_reserved_where_the_system_knows_no_reservation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: object, size: int
) -> None:
    if call is None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", call, raising=False)
    (tmp_path / "live").write_bytes(b"what an earlier run left")
    preallocate(tmp_path / "live", size)
    assert (tmp_path / "live").read_bytes() == bytes(size)
    assert (tmp_path / "live").stat().st_blocks * 512 >= size


def test_a_full_disk_is_reported_at_creation_there_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreError, match=r"cannot reserve 64 bytes \(No space left on device\)"):
        preallocate(tmp_path / "live", 64)
    assert not (tmp_path / "live").exists()


def test_the_checksum_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes((1 << 22) + 17)  # more than one chunk
    (tmp_path / "a").write_bytes(content)
    assert checksum(tmp_path / "a") == zlib.crc32(content)
