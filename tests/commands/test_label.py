"""`oaa label` with processes of its own."""

import os

import pytest

from oaa_pl.commands.label import _workers
from oaa_pl.errors import OutputError


def test_a_killed_worker_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(OutputError, match=r"was killed, .* label.workers=1"), _workers(2) as spread:
        list(spread(os._exit, [1]))  # type: ignore[arg-type]  # it never returns a label
