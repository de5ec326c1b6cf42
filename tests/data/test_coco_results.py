"""Our results in COCO's format in pycocotools' own evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data.tiny_layouts import CATEGORIES

from oaa_pl.data.coco import CocoSource
from oaa_pl.data.coco_json import CocoObject
from oaa_pl.data.coco_results import coco_results
from oaa_pl.data.coco_shapes import shape_faults
from oaa_pl.errors import BadMaskError
from oaa_pl.metrics import SegmentationScore, iou_per_class

coder = pytest.importorskip("pycocotools.mask")
IDS = list(CATEGORIES)


def labels(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).choice([0, 1, 2, 3, 255], (8, 10))
    return coarse.repeat(5, axis=0).repeat(4, axis=1).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_pycocotools_overlap_of_our_encodings_is_ours(seed: int) -> None:
    one, other = labels(seed), labels(seed + 50)
    one, other = np.where(one == 255, 0, one), np.where(other == 255, 0, other)
    metric = SegmentationScore(4)
    metric.update(torch.from_numpy(one), torch.from_numpy(other))
    ours = iou_per_class(metric.confusion)
    found, true = coco_results(one, 1, IDS), coco_results(other, 1, IDS)
    for place, category in enumerate(IDS):
        pair = [
            next(r["segmentation"] for r in results if r["category_id"] == category)
            for results in (found, true)
        ]
        (theirs,) = coder.iou(pair[:1], pair[1:], [0]).ravel().tolist()
        assert theirs == pytest.approx(float(ours[place + 1]))


def test_an_encoding_comes_back_as_its_mask() -> None:
    label = labels(3)
    for result in coco_results(label, 7, IDS):
        code, category = result["segmentation"], result["category_id"]
        assert (coder.decode(code) == (label == IDS.index(category) + 1)).all()
        assert list(shape_faults(json.loads(json.dumps(code)), "it", label.shape)) == []
        assert CocoObject(0, code, False).shape["size"] == [40, 40]


def test_the_truth_has_a_perfect_score_in_pycocotools_own_evaluation(
    tiny_coco_once: Path, tmp_path: Path
) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    source = CocoSource(tiny_coco_once, "train2017")
    path = tiny_coco_once / "annotations/instances_train2017.json"
    single = [k for k in range(len(source.ids)) if source.labels[k].sum() == 1]
    results = [one for k in single for one in coco_results(source.mask(k), int(source.ids[k]), IDS)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    truth = COCO(str(path))
    run = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "segm")
    run.params.imgIds = [int(source.ids[k]) for k in single]
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert run.stats[0] == pytest.approx(1)


def test_confidences_are_kept_and_unknown_ids_refused() -> None:
    label = np.array([[0, 2, 255]], np.uint8)
    (found,) = coco_results(label, 4, IDS, scores=[0.1, 0.2, 0.3])
    assert (found["image_id"], found["category_id"], found["score"]) == (4, 3, 0.2)
    with pytest.raises(BadMaskError, match=r"has the id 9, expected 0\.\.3 or 255"):
        coco_results(np.array([[9]], np.uint8), 4, IDS)
