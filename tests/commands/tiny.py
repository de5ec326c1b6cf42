"""The pipeline at toy size, as the words of a command line, and a way to run it in a test."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from hydra._internal.hydra import Hydra

from oaa_pl.commands.main import main

METHODS = ("cam", "oaa_mean", "oaa_max", "oaa_plus_mce", "oaa_plus_hybrid")


def words(root: Path) -> tuple[str, ...]:
    """Overrides that train the small network on a tiny VOC folder in a few seconds."""
    return (
        "data=voc12",
        f"data.root={root}",
        "data.train_split=train",
        "data.val_split=val",
        "data.input_size=48",
        "data.crop_size=48",
        "name=tiny",
        "net=small",
        "net.attention.trunk.module.widths=[4,4,8]",
        "net.segmenter.trunk.module.widths=[4,4,8]",
        "net.attention.hidden=8",
        "net.segmenter.hidden=8",
        "store.grid=[8,8]",
        "classifier.epochs=2",
        "classifier.batch_size=2",
        "classifier.optimizer.lr=0.02",
        # From scratch, two epochs would leave no map with anything in it.
        "integral.init=classifier",
        "integral.epochs=2",
        "integral.batch_size=2",
        "integral.optimizer.lr=0.0001",
        "segmenter.epochs=2",
        "segmenter.batch_size=2",
        "segmenter.optimizer.lr=0.01",
        "background=constant",
        "background.value=0.95",
        "label.workers=1",
        "report.images=2",
        "estimate=false",
    )


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of standard error."""
        return self.err.rstrip("\n").rpartition("\n")[2]


def oaa(*arguments: str) -> Said:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        logging_as_before(),
        composed_once(arguments),
    ):
        status = main(arguments)
    return Said(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def logging_as_before() -> Iterator[None]:
    """Hydra's `--info` sets the root logger to DEBUG, and gives it a handler of its own."""
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def composed_once(arguments: tuple[str, ...]) -> contextlib.AbstractContextManager[object]:
    """Spare Hydra a first composition, which only looks up `hydra.mode`: half of a short command.

    The second one, which the job gets, meets the same errors.
    """
    if any("hydra" in argument for argument in arguments):
        return contextlib.nullcontext()
    return mock.patch.object(Hydra, "get_mode", return_value=None)


def require_refusal(said: Said, *fragments: str) -> None:
    """One line, status 2, and every fragment in it."""
    assert said.status == 2, said.err
    assert said.err.startswith("oaa: ")
    assert said.err.count("\n") == 1, said.err
    for fragment in fragments:
        assert fragment in said.err


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in another folder, for fixtures that outlive a test."""
    with contextlib.chdir(folder):
        yield


def files(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def surroundings() -> dict[str, str]:
    """Environment of a process that repeats exactly what this one does."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
