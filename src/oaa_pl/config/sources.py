"""A stage's photos, tags and maps."""

import inspect
import pydoc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.recipe import Recipe
from oaa_pl.data.class_counts import require_learnable
from oaa_pl.data.source import Source
from oaa_pl.errors import ConfigError
from oaa_pl.files.file_names import require_file_names
from oaa_pl.store.layout import Pairs
from oaa_pl.store.reader import StoreReader

__all__ = ["inherited_classes", "maps_of", "pairs_of", "require_values", "sources"]


def sources(train: Recipe, val: Recipe | None, folder: Path) -> tuple[Source, Source | None]:
    """The training source, and the validation source if there is one; both of the same classes.

    Args:
        train: what makes the training source.
        val: what makes the validation source, or None for none; it takes the classes of `train`
            where it names none.
        folder: where files will be named by the sources' ids.

    Raises:
        ConfigError: if the training photos are to have no tags, there is nothing to learn from
            them, or an id makes no file name.
    """
    if train.key.get("tags") == "none":
        raise ConfigError("data.tags=none is for splits that are segmented; training needs tags")
    trained: Source = train()
    require_learnable(trained)
    held_out: Source | None = val(**inherited_classes(val.key, trained.classes)) if val else None
    for source in (trained, held_out):
        if source is not None:
            require_file_names(source.ids, folder)
    return trained, held_out


def require_values(cfg: DictConfig) -> None:
    """Refuse a data set of which a value without a default is not given.

    Raises:
        ConfigError: with the value's key.
    """
    # Not `missing_keys`: that fails where one value refers to another that is missing.
    missing = [str(key) for key in cfg.data if OmegaConf.is_missing(cfg.data, key)]
    if missing:
        # Shortest first: the others refer to it.
        key = f"data.{min(missing, key=len)}"
        raise ConfigError(f"{key} is not set and has no default; say {key}=...")


def inherited_classes(node: Mapping[str, Any], classes: Sequence[str]) -> dict[str, list[str]]:
    """The argument `classes` of a validation source that names none: those of the training source.

    Args:
        node: the validation source's configuration.
        classes: of the training source.
    """
    with suppress(pydoc.ErrorDuringImport, TypeError, ValueError):  # `instantiate` explains it
        # A source from outside may have fixed classes.
        takes = "classes" in inspect.signature(pydoc.locate(node["_target_"])).parameters  # type: ignore[arg-type]  # None is a TypeError
        if takes and node.get("classes") is None:
            return {"classes": list(classes)}
    return {}


def pairs_of(source: Source) -> Pairs:
    """The (image, class) pairs of a source."""
    return Pairs(source.ids, source.classes, source.labels.astype(bool))


def maps_of(source: Source, folder: Path) -> StoreReader:
    """A finished stage's attention maps, one for every (image, class) pair of a source.

    Args:
        source: the data set that they are of.
        folder: the stage's folder.

    Raises:
        StoreError: if there is no store or it is damaged, it is of other data, or a pair never got
            a map: its image would silently lose a class.
    """
    reader = StoreReader(folder / "store")
    reader.pairs.require_same(pairs_of(source), reader.path)
    reader.require_complete()
    return reader
