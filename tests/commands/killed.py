"""Run `oaa` in a process of its own that gets a signal at an exactly known moment.

The moment is the n-th time that a file whose path ends in a given text is about to be renamed into
place: everything durable in a run comes about by such a rename.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.commands.tiny import surroundings

_PROGRAM = """
import os, signal, sys
from pathlib import Path

number, ending, count, *words = sys.argv[1:]
# A shell starts background jobs with SIGINT ignored, and what they start inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)
left = int(count)
replace, rename = Path.replace, Path.rename

def counted(real):
    def put_in_place(self, target):
        global left
        if Path(target).as_posix().endswith(ending):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), int(number))
        return real(self, target)
    return put_in_place

Path.replace, Path.rename = counted(replace), counted(rename)
from oaa_pl.commands.main import main
sys.exit(main(words))
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended: minus the signal's number if it was killed."""

    status: int
    err: str


def run_until(number: int, ending: str, count: int, folder: Path, name: str, *words: str) -> Ended:
    """Run `oaa NAME WORDS` in a folder, sending itself a signal at that moment."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(number), ending, str(count), name, *words],
        cwd=folder,
        env=surroundings(),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stderr)
