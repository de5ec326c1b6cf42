"""Round numbers for the axes of the report's drawings."""

import math

__all__ = ["Scale", "round_ticks"]


def round_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Ticks at multiples of 1, 2 or 5 times a power of ten that enclose an interval.

    Args:
        low: lower end, finite.
        high: upper end, finite.
        count: about how many steps to make, 1 or more.

    Returns:
        Two or more ascending ticks; the first is at most `low`, the last at least `high`.

    >>> round_ticks(0.0, 1.0, 5)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    # An interval of one value still needs an axis around it.
    rough = (high - low or 1.0) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    decimals = max(0, -math.floor(math.log10(step)))
    return tuple(round(place * step, decimals) + 0.0 for place in range(first, last + 1))


class Scale:
    """A linear map from data to drawing coordinates.

    Args:
        domain: two different data values.
        extent: drawing coordinates of the two.

    >>> Scale((0.0, 1.0), (10.0, 110.0))(0.5)
    60.0
    """

    def __init__(self, domain: tuple[float, float], extent: tuple[float, float]) -> None:
        self.domain = domain
        self.extent = extent

    def __call__(self, value: float) -> float:
        """Drawing coordinate of a value, to a tenth: finer than any screen shows."""
        low, high = self.domain
        start, end = self.extent
        return round(start + (value - low) / (high - low) * (end - start), 1)
