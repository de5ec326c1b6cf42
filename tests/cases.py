"""Cases of a parametrised test, of which `make test` runs a part and `make test-all` runs all."""

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["some_quick"]


def some_quick(cases: Iterable[Any], step: int = 2) -> list[Any]:
    """The same cases; the first, and each `step`-th after it, stays a quick test.

    Args:
        cases: tuples of arguments, or single arguments that are no tuples.
        step: 1 or more.
    """
    return [
        case if place % step == 0
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]  # fmt: skip
