"""Print the tables of README.md from the CSV files of this folder, or make those from runs.

python experiments/wandering/tables.py
python experiments/wandering/tables.py <runs> <folder of the callback's files>
"""

import csv
import statistics
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
SETTINGS = {
    "recipe": "the recipe",
    "slow": "a tenth of the rate",
    "frozen": "trunk frozen",
    "crops": "random crops and colours",
}
METHODS = {"cam": "CAM", "oaa_mean": "mean", "oaa_max": "maximum"}
EPOCHS = ("setting", "seed", "epoch", "accepted", "area", "iou_with_before", "area_maximum")
SCORES = ("setting", "seed", "split", "method", "metric", "value")
DIFFERENCES = ("setting", "method", "minus", "difference", "low", "high", "seeds", "by_seed")
METRICS = ("proxy/miou_hard", "segmentation/miou", "attention/miou_best", "classification/map")


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def write(name: str, columns: tuple[str, ...], found: list[dict[str, str]]) -> None:
    """A CSV file of this folder."""
    with (HERE / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def collect(runs: Path, watched: Path) -> None:
    """Write `epochs.csv`, `scores.csv`, `scales.csv` and `differences.csv`.

    Args:
        runs: the folder of the runs `wander_<setting>` and `wander_<setting>_scales`.
        watched: the folder of `epochs-<setting>-<seed>.csv`, by the callback of table2_voc320.
    """
    epochs, scores, differences = [], [], []
    for setting in SETTINGS:
        for path in sorted(watched.glob(f"epochs-{setting}-*.csv")):
            own = {"setting": setting, "seed": path.stem.rpartition("-")[2]}
            epochs += [{**own, **row} for row in rows(path)]
        scores += [
            {"setting": setting, **row, "method": row["method"].split("-")[0]}
            for row in rows(runs / f"wander_{setting}/results.csv")
            if row["metric"] in METRICS
        ]
        differences += [
            {
                "setting": setting,
                **row,
                **{key: row[key].split("-")[0] for key in ("method", "minus")},
            }
            for row in rows(runs / f"wander_{setting}/differences.csv")
        ]
    scaled = [
        {"setting": path.parent.name.split("_")[1], **row}
        for path in sorted(runs.glob("wander_*_scales/results.csv"))
        for row in rows(path)
        if row["metric"] == "attention/miou_best"
    ]
    write("scales.csv", SCORES, scaled)
    write("differences.csv", DIFFERENCES, differences)
    write("epochs.csv", EPOCHS, epochs)
    write("scores.csv", SCORES, scores)


def level(values: list[float], digits: int = 1) -> str:
    """Mean ± sample deviation."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def signed(value: float) -> str:
    """A difference in percentage points, with a typographic minus."""
    return f"{value:+.1f}".replace("-", "−") if round(value, 1) else "0.0"


def effect(better: dict[str, float], baseline: dict[str, float], interval: str = "") -> str:
    """Mean difference over seeds, its interval if there is one, and each seed's."""
    each = [better[seed] - baseline[seed] for seed in sorted(better.keys() & baseline.keys())]
    return f"{signed(statistics.mean(each))}{interval} ({', '.join(map(signed, each))})"


def tables() -> str:
    """How attention moves by setting; labels, heads and effects by setting, as Markdown."""
    moves: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for row in rows(HERE / "epochs.csv"):
        for key in ("accepted", "area", "iou_with_before", "area_maximum"):
            if row[key] != "nan":
                moves[row["setting"], key].append((int(row["epoch"]), float(row[key])))
    found: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in rows(HERE / "scores.csv"):
        found[row["setting"], row["metric"], row["method"]][row["seed"]] = float(row["value"])
    intervals = {
        (row["setting"], row["method"], row["minus"]):
            f" [{signed(float(row['low']))}, {signed(float(row['high']))}]"
        for row in rows(HERE / "differences.csv")
    }  # fmt: skip
    lines = [
        "| classifier | maps accepted, first and last epoch | overlap of two epochs, first and last"
        " | area above 0.3, last epoch | of the maximum | mAP, `tune_hold` |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for setting, title in SETTINGS.items():
        cells = [f"{first(moves[setting, 'accepted'])}, {last(moves[setting, 'accepted'])}"]
        overlap = moves[setting, "iou_with_before"]
        cells += [f"{first(overlap)}, {last(overlap)}"]
        cells += [last(moves[setting, key]) for key in ("area", "area_maximum")]
        cells += [level([*found[setting, "classification/map", ""].values()])]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    for metric in ("attention/miou_best", "proxy/miou_hard", "segmentation/miou"):
        known = intervals if metric == "segmentation/miou" else {}
        lines += ["", f"| `{metric}` | CAM | mean | maximum | maximum − CAM, by seed |"
                  " mean − CAM, by seed |", "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
        for setting, title in SETTINGS.items():
            cam, mean, maximum = (found[setting, metric, method] for method in METHODS)
            cells = [level([*one.values()]) for one in (cam, mean, maximum)]
            cells += [
                effect(of, cam, known.get((setting, method, "cam"), ""))
                for method, of in (("oaa_max", maximum), ("oaa_mean", mean))
            ]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    scales: dict[str, list[float]] = defaultdict(list)
    for row in rows(HERE / "scales.csv"):
        scales[row["setting"]].append(float(row["value"]))
    lines += ["", "| CAM alone, `attention/miou_best` | one scale | three scales, mirrored too |",
              "|---|---:|---:|"]  # fmt: skip
    for setting, values in sorted(scales.items(), reverse=True):
        one = level([*found[setting, "attention/miou_best", "cam"].values()])
        lines.append(f"| {SETTINGS[setting]} | {one} | {level(values)} |")
    return "\n".join(lines)


def first(values: list[tuple[int, float]]) -> str:
    """Mean over seeds of the first epoch that has a value."""
    start = min(epoch for epoch, _ in values)
    return f"{statistics.mean(value for epoch, value in values if epoch == start):.2f}"


def last(values: list[tuple[int, float]]) -> str:
    """Mean over seeds of the last epoch."""
    end = max(epoch for epoch, _ in values)
    return f"{statistics.mean(value for epoch, value in values if epoch == end):.2f}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        collect(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"{tables()}\n")
