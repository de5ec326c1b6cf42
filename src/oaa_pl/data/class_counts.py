"""Count the photos of each class, and refuse tags that teach nothing."""

import numpy as np

from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError
from oaa_pl.names import class_fault

__all__ = ["describe_classes", "require_learnable"]


def describe_classes(source: Source) -> str:
    """One line with every class and its number of photos.

    Args:
        source: photos and tags.

    Returns:
        For example "3 classes: cat (12), dog (40), person (7)".
    """
    counts = np.asarray(source.labels).sum(axis=0, dtype=np.int64)
    shown = ", ".join(f"{name} ({n})" for name, n in zip(source.classes, counts, strict=True))
    return f"{len(source.classes)} classes: {shown}"


def require_learnable(source: Source) -> None:
    """Refuse a training source if no class is present in some photos and absent from others.

    Source: Jiang et al., ICCV 2019, section 3.2: the gate compares a class with the absent ones.

    Raises:
        ConfigError: if the class names are invalid, there is only one class, or each class is in
            all photos or in no photo.
    """
    where = f"split {source.split!r} of {source.name}"
    if fault := class_fault(source.classes):  # a source of other code may not check it
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
