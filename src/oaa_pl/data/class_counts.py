"""How many photos have each class, and whether there is anything to learn from that."""

import numpy as np

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError
from oaa_pl.names import class_fault

__all__ = ["describe_classes", "require_learnable"]


def describe_classes(source: Source) -> str:
    """One line with every class and the number of photos that have it.

    Args:
        source: photos and tags.

    Returns:
        For example "3 classes: cat (12), dog (40), person (7)".
    """
    counts = np.asarray(source.labels).sum(axis=0, dtype=np.int64)
    shown = ", ".join(f"{name} ({n})" for name, n in zip(source.classes, counts, strict=True))
    return f"{len(source.classes)} classes: {shown}"


def require_learnable(source: Source) -> None:
    """Refuse a training source from whose tags no class can be told from its absence.

    Source: Jiang et al., ICCV 2019, section 3.2: the gate compares a class with the absent ones.

    Raises:
        ConfigError: if the classes are no classes, there is one class only, or each class is in
            all of the photos or in none.
    """
    where = f"split {source.split!r} of {source.name}"
    if fault := class_fault(source.classes):  # of a source that does not check it itself
        raise ConfigError(f"{where}: {fault}")
    if len(source.classes) == 1:
        raise ConfigError(
            f"{where} has one class, {source.classes[0]!r}, and every photo has it: tags teach "
            "what a class looks like only where other photos lack it; add photos of something "
            "else, with a tag of their own"
        )
    counts = np.asarray(source.labels).sum(axis=0, dtype=np.int64)
    images = len(source.ids)
    if images > 1 and bool(np.isin(counts, (0, images)).all()):
        raise ConfigError(
            f"{where}: no class is in some photos and absent from others ({images} photos; "
            f"{describe_classes(source)}), so tags teach nothing; add photos of something else"
        )
