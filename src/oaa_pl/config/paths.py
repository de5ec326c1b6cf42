"""Which values of the configuration are paths: there `~` and `$HOME` are expanded."""

from collections.abc import Iterator

from omegaconf import DictConfig, ListConfig, OmegaConf

from oaa_pl.files.home import expanded

__all__ = ["expand_paths", "is_path"]

# Part of the configuration -> names of its values, at any depth of it, that are paths.
_PATHS = {
    "runs": ("runs",),
    "maps": ("maps",),
    "data": (
        *("root", "tag_file", "val_tag_file", "mask_folder", "saliency", "proposals"),
        *("annotation_file", "val_annotation_file", "photo_folder", "val_photo_folder"),
        *("box_path", "val_box_path"),
    ),
    "background": ("cache", "folder", "model"),
    "refine": ("folder",),
    "net": ("weights",),
    "segmenter": ("weights",),
    "predict": ("checkpoint", "photos", "output"),
    "saliency": ("model", "photos", "output"),
}


def is_path(key: str) -> bool:
    """Whether a key of the configuration, such as `data.root`, takes a path."""
    part, *_, name = [*key.split("."), key.rpartition(".")[2]]
    return name in _PATHS.get(part, ())


def expand_paths(cfg: DictConfig) -> None:
    """Expand every path of a configuration, wherever it was written; numbers become texts.

    What refers to another value is left: it follows.

    Args:
        cfg: changed in place.
    """
    for part, names in _PATHS.items():
        if part not in cfg or OmegaConf.is_missing(cfg, part):
            continue
        nodes = [cfg] if part in names else _mappings(cfg[part])
        for node in nodes:
            for name in names:
                if name not in node or OmegaConf.is_missing(node, name):
                    continue
                value = None if OmegaConf.is_interpolation(node, name) else node[name]
                if isinstance(value, int | float) and not isinstance(value, bool):
                    node[name] = str(value)
                elif isinstance(value, str) and value != expanded(value):
                    node[name] = expanded(value)


def _mappings(node: object) -> Iterator[DictConfig]:
    """A part of the configuration and every mapping inside it."""
    if isinstance(node, DictConfig) and not node._is_none():
        yield node
        for key in (key for key in node if isinstance(key, str)):
            if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
                yield from _mappings(node[key])
    elif isinstance(node, ListConfig) and not node._is_none():
        for item in node:
            yield from _mappings(item)
