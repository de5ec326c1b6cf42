"""The table of experiments/wandering, from its committed files and from runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scripts import loaded

FOLDER = Path(__file__).parents[2] / "experiments/wandering"


def test_the_quoted_tables_are_those_of_the_committed_files() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "tables.py"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    text = (FOLDER / "README.md").read_text("utf-8")
    (quoted,) = re.findall(r"experiments/wandering/tables.py -->\n(.*?)<!-- end -->", text, re.S)
    assert quoted.strip() == done.stdout.strip()


def test_runs_are_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = loaded(FOLDER / "tables.py")
    monkeypatch.setattr(script, "HERE", tmp_path)
    monkeypatch.setattr(script, "SETTINGS", {"slow": "slow"})
    head = "epoch,accepted,empty,area,iou_with_before,area_maximum,area_mean"
    for seed in (0, 1):
        (tmp_path / f"epochs-slow-{seed}.csv").write_text(
            f"{head}\n1,0.2,0,0.1,nan,0.1,0.1\n2,0.{6 + seed},0,0.3,0.4,0.4,0.2\n"
        )
    scores = ["experiment,seed,dataset,split,stage,method,metric,value"]
    for seed in (0, 1):
        scores.append(f"w,{seed},voc12,hold,classifier,,classification/map,7{seed}")
        for at, name in enumerate(("cam", "oaa_mean", "oaa_max")):
            scores.append(
                f"w,{seed},voc12,fit,labels,{name},proxy/miou_hard,{40 + at * (seed + 1)}"
            )
            scores.append(
                f"w,{seed},voc12,hold,segmenter,{name}-frozen_head,segmentation/miou,{50 - at}"
            )
            scores.append(f"w,{seed},voc12,fit,attention,{name},attention/miou_best,30")
    (tmp_path / "wander_slow").mkdir()
    (tmp_path / "wander_slow/results.csv").write_text("\n".join(scores))
    (tmp_path / "wander_slow/differences.csv").write_text(
        "variant,split,method,minus,difference,low,high,seeds,by_seed\n"
        ",hold,oaa_max-frozen_head,cam-frozen_head,-2.00,-3.11,-0.52,2,-2.00 -2.00\n"
    )
    (tmp_path / "wander_slow_scales").mkdir()
    (tmp_path / "wander_slow_scales/results.csv").write_text(
        f"{scores[0]}\nw,0,voc12,fit,attention,cam,attention/miou_best,34\n"
        "w,1,voc12,fit,attention,cam,attention/miou_best,35\n"
    )
    script.collect(tmp_path, tmp_path)
    lines = script.tables().splitlines()
    assert lines[2] == "| slow | 0.20, 0.65 | 0.40, 0.40 | 0.30 | 0.40 | 70.5 ± 0.7 |"
    assert (
        lines[6]
        == "| slow | 30.0 ± 0.0 | 30.0 ± 0.0 | 30.0 ± 0.0 | 0.0 (0.0, 0.0) | 0.0 (0.0, 0.0) |"
    )
    assert lines[10].endswith("| 43.0 ± 1.4 | +3.0 (+2.0, +4.0) | +1.5 (+1.0, +2.0) |")
    assert lines[-1] == "| slow | 30.0 ± 0.0 | 34.5 ± 0.7 |"
    assert lines[-5].endswith("| 48.0 ± 0.0 | −2.0 [−3.1, −0.5] (−2.0, −2.0) | −1.0 (−1.0, −1.0) |")
