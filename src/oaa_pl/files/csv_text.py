"""The text of a CSV file, with the same line ends on every system."""

import csv
import io
from collections.abc import Iterable

__all__ = ["csv_text"]


def csv_text(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV.

    Args:
        header: names of the columns.
        rows: their values.

    Examples:
        >>> csv_text(("name", "score"), [("a, b", 1)]).splitlines()
        ['name,score', '"a, b",1']
    """
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows([header, *rows])
    return table.getvalue()
