"""Join the rows of `accumulations.py` over seeds: mean and sample deviation of every score.

python experiments/table2_lite/first_epochs.py first_epochs.csv <rows of a seed.csv>...
"""

import csv
import statistics
import sys
from pathlib import Path

SCORES = ("attention/miou", "attention/miou_best", "proxy/miou_hard", "proxy/miou")


def main(output: str, *paths: str) -> None:
    """Write a row for each way to accumulate and to read."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for path in paths:
        with Path(path).open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault((row["model"], row["reading"]), []).append(row)
    with Path(output).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        scores = [f"{score}, {what}" for score in SCORES for what in ("mean", "deviation")]
        writer.writerow(["model", "reading", "seeds", *scores])
        for way, rows in found.items():
            values = [[float(row[score]) for row in rows] for score in SCORES]
            both = ((statistics.mean(v), statistics.stdev(v)) for v in values)
            writer.writerow([*way, len(rows), *(f"{one:.2f}" for pair in both for one in pair)])


if __name__ == "__main__":
    main(*sys.argv[1:])
