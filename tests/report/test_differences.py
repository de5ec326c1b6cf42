import csv
import json
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.errors import RunMismatchError
from oaa_pl.report.differences import read_counts, write_counts, write_differences


def segmenter(home: Path, seed: int, method: str, right: int, ids: str = "abc") -> Path:
    """Scores of a segmenter that has so many of 20 pixels right in each photo."""
    folder = home / f"seed-{seed}/segmenter/{method}"
    confusion = np.array([[[10, 0], [20 - right - n, right + n]] for n in range(len(ids))])
    write_counts(folder, ids, confusion)
    (folder / "scored.json").write_text(json.dumps({"split": "val", "data": "d"}))
    return folder


def rows(home: Path) -> list[dict[str, str]]:
    with (home / "differences.csv").open(newline="") as file:
        return [*csv.DictReader(file)]


def test_segmenters_of_one_kind_are_compared_over_their_common_seeds(tmp_path: Path) -> None:
    for seed in (0, 1):
        segmenter(tmp_path, seed, "cam", 8 + seed)
        segmenter(tmp_path, seed, "oaa_max", 12)
        segmenter(tmp_path, seed, "cam-frozen_head", 5)
    segmenter(tmp_path, 0, "oaa_max-frozen_head", 3)
    assert write_differences(tmp_path) == tmp_path / "differences.csv"
    one, other = rows(tmp_path)
    assert (one["method"], one["minus"], one["seeds"]) == ("oaa_max", "cam", "2")
    assert 0 < float(one["low"]) <= float(one["difference"]) <= float(one["high"])
    assert len(one["by_seed"].split()) == 2
    assert (other["method"], other["minus"]) == ("oaa_max-frozen_head", "cam-frozen_head")
    assert (other["seeds"], float(other["difference"]) < 0) == ("1", True)


def test_variants_of_a_sweep_are_compared_each_for_itself(tmp_path: Path) -> None:
    for variant in ("gate=none", "gate=top_k"):
        segmenter(tmp_path / variant, 0, "cam", 8)
        segmenter(tmp_path / variant, 0, "oaa_max", 9)
    write_differences(tmp_path)
    assert [one["variant"] for one in rows(tmp_path)] == ["gate=none", "gate=top_k"]


def test_nothing_is_written_where_nothing_can_be_compared(tmp_path: Path) -> None:
    folder = segmenter(tmp_path, 0, "cam", 8)
    assert write_differences(tmp_path) is None
    segmenter(tmp_path, 0, "oaa_max", 8)
    (folder / "scored.json").unlink()
    assert write_differences(tmp_path) is None
    assert not (tmp_path / "differences.csv").exists()


def test_other_photos_and_damaged_counts_are_named(tmp_path: Path) -> None:
    segmenter(tmp_path, 0, "cam", 8)
    folder = segmenter(tmp_path, 1, "cam", 8, ids="abd")
    with pytest.raises(RunMismatchError, match="has other photos"):
        write_differences(tmp_path)
    (folder / "confusion.npz").write_bytes(b"PK\3\4")
    with pytest.raises(RunMismatchError, match=r"cannot be read .*scored\.json"):
        read_counts(folder)
