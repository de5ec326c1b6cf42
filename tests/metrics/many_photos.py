"""Peak memory of a process that scores many photos with every streaming score, one after another.

For a child process: the memory of a test run would hide what the scores take.
"""

import resource
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from oaa_pl.metrics import (
    BoundaryScore,
    BoxAccuracy,
    HeldOutThreshold,
    PixelAveragePrecision,
    SegmentationScore,
)

CLASSES = 4  # with the background
AT = (1_000, 10_000, 100_000)


def scoring() -> Callable[[int], None]:
    """Every streaming score; a function that counts one photo of 4 x 4 pixels in each.

    `ClassScore` and `ActivationScore` count as `SegmentationScore` does, and `HeldOutThreshold` is
    two `ThresholdCurve`s.
    """
    generator = torch.Generator().manual_seed(0)
    of_labels = [SegmentationScore(CLASSES), BoundaryScore(CLASSES)]
    of_maps = [HeldOutThreshold(CLASSES), PixelAveragePrecision()]
    of_boxes = BoxAccuracy(interval=0.5)
    attention = torch.randint(0, 3, (16, 1, 4, 4), generator=generator) / 2
    ids = torch.randint(0, CLASSES, (2, 16, 4, 4), generator=generator)

    def count(photo: int) -> None:
        place = photo % 16
        for score in of_labels:
            score.update(ids[0, place], ids[1, place])
        for score in of_maps:
            score.update(attention[place], torch.tensor([photo % 3]), ids[1, place])
        of_boxes.update(attention[place], [np.array([[0, 0, 1 + photo % 3, 3]])], [True])

    return count


def peaks(count: Callable[[int], object], at: Iterable[int] = AT) -> dict[int, int]:
    """Peak memory in bytes after each number of photos.

    Args:
        count: counts the photo of a number.
        at: numbers of photos, growing.
    """
    found, done = {}, 0
    for photos in at:
        for photo in range(done, photos):
            count(photo)
        found[photos], done = _peak(), photos
    return found


def _peak() -> int:
    """Peak memory of this process alone, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's ru_maxrss begins at the peak of the parent
        [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
