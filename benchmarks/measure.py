"""Measure the lines, by groups, and write them."""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from lines import Line, Value, measured
from pipeline_lines import attend_lines, epoch_lines, label_lines, score_lines, waiting_lines
from store_lines import store_lines
from table import FILE, write_table
from training_lines import mode_lines, step_lines

from oaa_pl.machine import keep_freed_memory, usable_cores
from oaa_pl.nets.processor import processor_name

__all__ = ["main"]


def start_lines() -> Iterator[Value]:
    """What a user waits for before anything happens."""
    for what, command, sought in (
        ("`oaa --help`", ["-m", "oaa_pl", "--help"], "<= 0.3"),
        ("`import oaa_pl`, with Python's own start", ["-c", "import oaa_pl"], "<= 0.1"),
    ):
        yield Value(what, sought, partial(seconds_of, command), "wall time", "s")


def seconds_of(command: list[str]) -> float:
    """Least wall time of five calls of a command."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def groups(folder: Path, heavy: bool) -> dict[str, Callable[[], Iterable[Line | Value]]]:
    """What is measured, by the names of `--only`."""
    return {
        "store": partial(store_lines, folder, np.random.default_rng(0)),
        "steps": partial(step_lines, folder),
        "epochs": partial(epoch_lines, folder),
        "waiting": partial(waiting_lines, folder),
        "modes": partial(mode_lines, heavy),
        "attend": partial(attend_lines, folder),
        "labels": partial(label_lines, folder),
        "scores": partial(score_lines, folder),
        "start": start_lines,
    }


def main() -> None:
    """Print the lines, write them and the table of docs/speed.md."""
    names = list(groups(Path(), heavy=False))
    parser = argparse.ArgumentParser(description="Speeds as ratios: docs/speed.md.")
    parser.add_argument("--seconds", type=float, default=5, help="time for each line")
    parser.add_argument("--note", default="", help="kept with the numbers: what else ran, say")
    parser.add_argument("--only", nargs="+", choices=names, default=names,
                        help="groups to measure; the file keeps the others")  # fmt: skip
    parser.add_argument("--heavy", action="store_true", help="torch.compile too: minutes more")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # Lightning's advice on loaders and processors
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # processor time would count the waiting of a second thread
    keep_freed_memory()  # as every command does
    found = json.loads(FILE.read_text()) if FILE.exists() else {"groups": {}}
    run = {"processor": processor_name(), "cores": usable_cores(), "torch": torch.__version__,
           "numpy": np.__version__, "note": given.note}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in groups(Path(folder), given.heavy).items():
            if name not in given.only:
                continue
            table = []
            for line in lines():
                table.append(measured(line, given.seconds))
                print(
                    f"{line.what:<96} {line.sought:>8} {table[-1]['measured']:>10.4g}", flush=True
                )
            measured_now = {**found["groups"], name: {**run, "lines": table}}
            found["groups"] = {
                known: measured_now[known] for known in names if known in measured_now
            }
            FILE.write_text(json.dumps(found, indent=1) + "\n")
    write_table()
