"""Worker processes: one thread each, killed or interrupted."""

import os
import signal
import time

import cv2
import pytest

from oaa_pl.errors import OutputError
from oaa_pl.parallel.processes import _interrupted_later, process_results


def test_a_killed_worker_is_one_line_that_says_what_to_do() -> None:
    with (
        pytest.raises(OutputError, match=r"was killed, .* parallel.workers=1"),
        process_results(os._exit, [1], 2) as results,
    ):
        list(results)


def threads(_: int) -> tuple[int, list[str | None]]:
    """How many threads a pool's process computes with."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return cv2.getNumThreads(), [os.environ.get(name) for name in names]


def test_a_worker_computes_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with process_results(threads, [0], 2) as results:
        assert list(results) == [(1, ["1"] * 3)]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


@pytest.mark.usefixtures("stops_at_ctrl_c")
def test_ctrl_c_waits_until_the_processes_have_started() -> None:
    ended = []

    def interrupted() -> None:
        with _interrupted_later():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # a busy machine may be slow to deliver it
            ended.append("the block")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ended == ["the block"]
    with _interrupted_later():
        pass
    with pytest.raises(KeyboardInterrupt):  # Ctrl-C works as before
        signal.raise_signal(signal.SIGINT)
