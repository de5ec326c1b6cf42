"""The `oaa` command line: dispatch, and every error as one line with an exit status."""

import importlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from functools import partial

from oaa_pl import __version__
from oaa_pl.commands.completion import FLAGS, complete
from oaa_pl.commands.manual import COMMANDS, STORE
from oaa_pl.commands.pages import command_page, front_page
from oaa_pl.config.failure import reason_of
from oaa_pl.config.flags import split
from oaa_pl.config.job import run_job
from oaa_pl.errors import JobsFailedError, OaaError
from oaa_pl.machine import keep_freed_memory

__all__ = ["main"]

DONE, UNEXPECTED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `oaa`; those of the process if None.

    Returns:
        Exit status: 0 done, 1 unexpected error in a sweep, 2 bad input, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(front_page())
        return DONE
    if words[0] == "--version":
        sys.stdout.write(f"oaa {__version__}\n")
        return DONE
    if words[0] in FLAGS:
        return _complete(words[1:])
    name, *overrides = words
    if overrides and f"{name} {overrides[0]}" in COMMANDS:
        name, *overrides = f"{name} {overrides[0]}", *overrides[1:]
    if name not in COMMANDS:
        return _refuse(f"unknown command {name!r}; expected one of {', '.join(COMMANDS)}")
    if "-h" in overrides or "--help" in overrides:
        sys.stdout.write(command_page(name))
        return DONE
    try:
        flags, _ = split(overrides)  # before torch is imported, which takes seconds
    except OaaError as error:
        return _refuse(str(error))
    if set(flags) & set(FLAGS):
        return _refuse(f"option {FLAGS[1]} is a command of its own: oaa {FLAGS[1]} install=bash")
    return _run(name, overrides)


def _complete(words: Sequence[str]) -> int:
    try:
        complete(words)
    except Exception as error:  # a traceback would be printed over the line that is being typed
        return _refuse(reason_of(error) or repr(error))
    return DONE


def _run(name: str, overrides: Sequence[str]) -> int:
    _quieten(overrides)
    keep_freed_memory()
    # Imported here: torch takes seconds, which a page of the manual should not.
    from oaa_pl.commands.sweep_report import names_folder
    from oaa_pl.commands.sweep_report import run_words as report_sweep
    from oaa_pl.training.notice import forget

    forget()
    # SIGTERM ends the command as Ctrl-C does: locks are released, and the run can be resumed. So
    # does SIGUSR1, which SLURM sends when a job's time is nearly over.
    polite = {one: signal.signal(one, _interrupt) for one in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        command = importlib.import_module(f"oaa_pl.commands.{name.replace(' ', '_')}")
        if name == STORE:
            command.run_words(overrides)
        elif name == "report" and names_folder(overrides):
            report_sweep(overrides)
        else:
            run_job(command.run, overrides, partial(_quieten, overrides))
    except KeyboardInterrupt:
        sys.stderr.write("\noaa: interrupted; run the same command again to continue from there\n")
        return INTERRUPTED
    except JobsFailedError as error:
        status = _refuse(str(error))
        return UNEXPECTED if error.defects else status
    except Exception as error:
        reason = reason_of(error)
        if reason is None:
            raise
        return _refuse(reason)
    finally:
        for one, handler in polite.items():
            signal.signal(one, handler)
    return DONE


def _refuse(message: str) -> int:
    sys.stderr.write(f"oaa: {message}\n")
    return BAD_INPUT


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _quieten(words: Sequence[str]) -> None:
    """Keep what others say about themselves out of the way of what this program says."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if not {"--info", "-i"} & {word.partition("=")[0] for word in words}:
        # Hydra logs its information by a handler of its own; each line would come twice.
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    import pytorch_lightning  # sets its own level when imported, so it comes first

    logging.getLogger(pytorch_lightning.__name__).setLevel(logging.WARNING)
    from lightning_fabric.utilities.warnings import PossibleUserWarning

    # Advice about loader workers, logging intervals, folders that exist: all of it is meant so.
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    # A run folder may be moved.
    warnings.filterwarnings("ignore", message="The dirpath has changed from")
    # The one DataModule has validation photos; two of the three stages do not look at them.
    warnings.filterwarnings("ignore", message="You passed in a `val_dataloader`")
    # Lightning 2.6 against torch's newer pytree.
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.")


if __name__ == "__main__":
    sys.exit(main())
