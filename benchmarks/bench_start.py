"""What a user waits for before anything happens."""

import subprocess
import sys
from functools import partial

import pytest
from conftest import Bench


@pytest.mark.parametrize(
    ("what", "sought", "words"),
    [
        ("`oaa --help`", "<= 0.3", ("-m", "oaa_pl", "--help")),
        ("`import oaa_pl`, with Python's own start", "<= 0.1", ("-c", "import oaa_pl")),
    ],
)
def test_start(bench: Bench, what: str, sought: str, words: tuple[str, ...]) -> None:
    command = partial(subprocess.run, [sys.executable, *words], check=True, capture_output=True)
    bench.seconds(what, sought, command, "wall time")
