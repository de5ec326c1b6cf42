import errno
import fcntl
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oaa_pl.errors import StoreError
from oaa_pl.files.lock import WriterLock

# Holds the lock, says so, and waits to be killed.
HOLD = "import sys, pathlib, oaa_pl.files.lock as l; held = l.WriterLock(pathlib.Path(sys.argv[1]))"
WAIT = "; print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def other_process(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Another process that holds `tmp_path / "lock"`."""
    command = [sys.executable, "-c", HOLD + WAIT, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_another_process_is_refused_with_its_pid(
    tmp_path: Path, other_process: "subprocess.Popen[bytes]"
) -> None:
    with pytest.raises(
        StoreError, match=rf'written by another process .*"pid": {other_process.pid}'
    ):
        WriterLock(tmp_path / "lock")
    # Being refused must not have freed it.
    with pytest.raises(StoreError, match="wait for it, or stop it"):
        WriterLock(tmp_path / "lock")


def test_a_killed_process_leaves_no_lock(
    tmp_path: Path, other_process: "subprocess.Popen[bytes]"
) -> None:
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait()
    WriterLock(tmp_path / "lock").release()


def test_the_same_process_is_refused_too(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "lock")
    with pytest.raises(StoreError, match="written by this very process; close it first"):
        WriterLock(tmp_path / "lock")
    # And still holds it against others.
    assert refused_elsewhere(tmp_path / "lock")
    lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "lock")
    lock.release()
    lock.release()
    second = WriterLock(tmp_path / "lock")
    lock.release()  # must not free what somebody else holds now
    assert refused_elsewhere(tmp_path / "lock")
    second.release()
    assert not refused_elsewhere(tmp_path / "lock")


def test_a_forgotten_lock_is_released(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "lock")
    del lock
    gc.collect()
    WriterLock(tmp_path / "lock").release()


def test_the_record_of_an_earlier_holder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("x" * 1000)
    lock = WriterLock(tmp_path / "lock")
    assert f'"pid": {os.getpid()}' in (tmp_path / "lock").read_text()
    assert "xxx" not in (tmp_path / "lock").read_text()
    lock.release()


def test_a_file_system_without_locks_is_not_taken_for_another_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    with pytest.raises(StoreError, match=r"lock cannot be locked \(No locks available\); choose"):
        WriterLock(tmp_path / "lock")


def refused_elsewhere(path: Path) -> bool:
    """Whether another process is refused the lock."""
    done = subprocess.run([sys.executable, "-c", HOLD, str(path)], capture_output=True, check=False)
    return b"is being written by another process" in done.stderr
