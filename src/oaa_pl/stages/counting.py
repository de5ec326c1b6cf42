"""Count over all images of a split: in this process, or by the workers of a `FanOut`.

The counts are integers, so their sums are the same in any order.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from torchmetrics import Metric

from oaa_pl.metrics import HeldOutThreshold
from oaa_pl.parallel.fan_out import FanOut

__all__ = ["Counter", "Counts", "counted"]

Counts = tuple[Any, ...]
"""Metrics whose states are integer sums, `HeldOutThreshold`s and lists."""

_AT_A_TIME = 64  # images that a worker counts before it sends their counts


class Counter(Protocol):
    """Counts one image at a time. It is pickled, unless this process counts."""

    def empty(self) -> Counts:
        """The counts of no image."""

    def add(self, counts: Counts, index: int) -> None:
        """Add the image of an index to counts."""


def counted(counter: Counter, images: int, what: str, fan_out: FanOut) -> Counts:
    """The counts of all images.

    Args:
        counter: counts one image.
        images: their number, 1 or more.
        what: is counted, for the progress bar.
        fan_out: where; unless it is configured, in this process.
    """
    from oaa_pl.callbacks.progress import bar  # brings Lightning, which workers do without

    with bar(images, what) as progress:
        if fan_out.alone(usual=1):
            total = counter.empty()
            for index in range(images):
                counter.add(total, index)
                progress.update(1)
            return total
        parts = [range(i, min(i + _AT_A_TIME, images)) for i in range(0, images, _AT_A_TIME)]
        with fan_out.results(_Part(counter), parts, usual=1) as results:
            total = next(results)
            progress.update(len(parts[0]))
            for part, indices in zip(results, parts[1:], strict=True):
                for mine, its in zip(total, part, strict=True):
                    _merge(mine, its)
                progress.update(len(indices))
    return total


@dataclass(frozen=True)
class _Part:
    """Counts some of the images, in a worker."""

    counter: Counter

    def __call__(self, indices: range) -> Counts:
        counts = self.counter.empty()
        for index in indices:
            self.counter.add(counts, index)
        return counts


def _merge(total: Any, part: Any) -> None:
    """Add the counts of later images to those of earlier ones."""
    if isinstance(total, Metric):
        for name, value in part.metric_state.items():
            setattr(total, name, getattr(total, name) + value)
        # Otherwise `compute` warns if only the later images had something to count.
        total._update_count += part.update_count
    elif isinstance(total, HeldOutThreshold):
        total.merge(part)
    else:
        total += part
