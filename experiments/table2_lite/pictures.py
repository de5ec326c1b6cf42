"""Draw the best, median and worst photos of a run, by the IoU of one column: none chosen by hand.

Three photos each, as masks without their photo: VOC's photos may not be published again. The IoU
of a photo is its mean over the classes of its mask and of its prediction.

    python experiments/table2_lite/pictures.py <voc2012-320> runs/table2_lite/seed-0 pictures.png

Other columns: the title of the one that ranks the photos, then all of them, as title=folder of a
segmenter. Those of table3_lite:

    python experiments/table2_lite/pictures.py <voc2012-320> runs/table2_lite/seed-3 pictures.png \
      '100 %' '20 %=oaa_plus_hybrid-frozen_head-20pc' '100 %=oaa_plus_hybrid-frozen_head'
"""

import sys
from pathlib import Path

import numpy as np

from oaa_pl.data.voc import VocSource
from oaa_pl.proxy.palette import load_label
from oaa_pl.report.grid import GridRow, save_contact_sheet
from oaa_pl.report.pictures import Picture, label_overlay
from oaa_pl.stages.figures import image_miou

SPLIT, JUDGED = "val_dev", "OAA+"
SHOWN = (
    "control=tags_hard-frozen_head",
    "CAM=cam-frozen_head",
    "max=oaa_max-frozen_head",
    f"{JUDGED}=oaa_plus_hybrid-frozen_head",
    "true masks=masks-frozen_head",
)
EACH = 3  # photos of each kind


def drawn(label: Picture) -> Picture:
    """A label map's colours on white, (H, W) uint8 -> (H, W, 3) uint8."""
    return label_overlay(np.full((*label.shape, 3), 255, np.uint8), label)


def main(root: str, run: str, output: str, judged: str = JUDGED, *columns: str) -> None:
    """Rank the photos by the judged column, and draw both ends and the middle."""
    val = VocSource(root, SPLIT)
    folders = {
        title: Path(run, "segmenter", folder, "predictions")
        for title, _, folder in (column.partition("=") for column in columns or SHOWN)
    }
    scores = np.array([image_miou(val, folders[judged], index) for index in range(len(val.ids))])
    order = [place for place in np.argsort(-scores, kind="stable") if not np.isnan(scores[place])]
    middle = (len(order) - EACH) // 2
    kinds = {"best": order[:EACH], "median": order[middle : middle + EACH], "worst": order[-EACH:]}
    rows = []
    for kind, places in kinds.items():
        for index in places:
            panels = {"truth": drawn(val.mask(index))}
            for title, folder in folders.items():
                panels[title] = drawn(load_label(folder / f"{val.ids[index]}.png"))
            tags = [val.classes[c] for c in np.flatnonzero(val.labels[index])]
            words = [kind, f"{100 * scores[index]:.0f} %", *tags]
            rows.append(GridRow(val.ids[index], words, panels))
    save_contact_sheet(Path(output), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
