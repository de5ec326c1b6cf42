"""Made-up results whose every number can be told by head."""

from oaa_pl.report.results import Row

LEVEL = {
    "cam": 30.0,
    "oaa_mean": 33.0,
    "oaa_max": 35.0,
    "oaa_plus_mce": 28.0,
    "oaa_plus_hybrid": 36.0,
}
SHIFT = {"attention": 0.0, "proxy": 5.0, "segmentation": 10.0}
METRICS = (
    ("train", "attention", "miou"),
    ("train", "attention", "miou_best"),
    ("train", "attention", "precision"),
    ("train", "attention", "recall"),
    ("train", "proxy", "miou"),
    ("train", "proxy", "miou_hard"),
    ("train", "proxy", "coverage"),
    ("val", "segmentation", "miou"),
)


def made_up_rows(
    seeds: tuple[int, ...] = (0,), methods: tuple[str, ...] = tuple(LEVEL)
) -> list[Row]:
    """Seed s adds s points everywhere, and the maximum gains another half point per seed."""
    rows = []
    for seed in seeds:
        for method in methods:
            level = LEVEL.get(method, 20.0) + seed + (seed / 2 if method == "oaa_max" else 0.0)
            rows += [
                Row(
                    "toy",
                    seed,
                    "synthetic",
                    split,
                    stage,
                    method,
                    f"{stage}/{name}",
                    level + SHIFT[stage],
                )
                for split, stage, name in METRICS
            ]
            threshold = Row(
                "toy",
                seed,
                "synthetic",
                "train",
                "attention",
                method,
                "attention/best_threshold",
                0.25,
            )
            rows.append(threshold)
        rows.append(
            Row("toy", seed, "synthetic", "val", "classifier", "", "classification/map", 80.0)
        )
    return rows
