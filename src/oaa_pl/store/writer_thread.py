"""Writes of a training's stores, on a thread beside the training.

The thread waits for the device's copies, so that the training need not. It works in the order of
the steps, so the stores do not depend on its speed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread

from oaa_pl.errors import OaaError, StoreError

__all__ = ["WriterThread"]

Write = Callable[[], None]


@dataclass(frozen=True)
class _Running:
    """A thread, the writes that wait for it, and whether it has left them."""

    thread: Thread
    queue: "Queue[Write | None]"
    ended: Event


class WriterThread:
    """Runs writes one after another while the training continues.

    A thread lives from the first write to the next `drain`. So no thread runs at the start of an
    epoch, when data loaders fork their workers.

    Args:
        most: writes that may wait. A further one waits for its place, so that memory is bounded.
    """

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._running: _Running | None = None  # no lock before: a callback is pickled
        self._ending = self._stopped = False
        self._error: BaseException | None = None
        self._process = os.getpid()

    def put(self, write: Write) -> None:
        """Let the thread run a write after those before it.

        Args:
            write: a function that writes to stores.

        Raises:
            StoreError: if an earlier write failed; nothing after it is written. Or if this process
                is a fork, which has no such thread.
        """
        if self._process != os.getpid():
            raise StoreError(
                "the stores are written by a thread of another process, of which this is a fork; "
                "open them in this process"
            )
        if self._ending:  # a Ctrl-C came while it was waited for
            self._end()
        self._raise()
        if self._running is None:
            self._running = self._started()
        self._running.queue.put(write)

    def drain(self) -> None:
        """Wait until everything is written, and end the thread.

        Raises:
            StoreError: if a write failed; nothing after it is written.
        """
        self._end()
        self._raise()

    def stop(self) -> None:
        """End the thread without the writes that still wait."""
        self._stopped = True
        self._end()

    def _started(self) -> _Running:
        # A queue of its own: an interrupted `drain` may leave something in the last one.
        queue: Queue[Write | None] = Queue(self._most)
        ended = Event()
        thread = Thread(
            target=self._work, args=(queue, ended), name="oaa_pl store writer", daemon=True
        )
        thread.start()
        return _Running(thread, queue, ended)

    def _end(self) -> None:
        running = self._running
        if running is not None and self._process == os.getpid():
            self._ending = True
            if not running.ended.is_set():
                running.queue.put(None)
            # Not `join` alone: after a Ctrl-C in it, Python 3.11 takes the thread for ended.
            running.ended.wait()
            running.thread.join()
        self._running, self._ending = None, False

    def _raise(self) -> None:
        error = self._error
        if isinstance(error, OaaError | OSError):
            raise StoreError(
                f"the maps of an earlier training step could not be written: {error}"
            ) from error
        if error is not None:  # a defect: its own traceback tells more
            raise error

    def _work(self, queue: "Queue[Write | None]", ended: Event) -> None:
        while (write := queue.get()) is not None:
            if self._error is None and not self._stopped:
                try:
                    write()
                except BaseException as error:
                    self._error = error
        ended.set()
