"""The same value for every image: a stand-in for maps or labels that do not exist yet."""

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Constant"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Constant(Generic[Value]):
    """A function of an image's place that always gives the same; a loader's process can be sent it.

    Attributes:
        value: what it gives.
    """

    value: Value

    def __call__(self, index: int) -> Value:
        """The value, for every image."""
        del index
        return self.value
