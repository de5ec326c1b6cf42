"""Which network the segmenters are, where it is not the attention models' own."""

from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from oaa_pl.config.compose import compose_group
from oaa_pl.errors import ConfigError

__all__ = [
    "changes_for_segmenters", "head_of_segmenters", "named_keys", "network_of_segmenters",
]  # fmt: skip

_HEADS = ("tuned_head", "frozen_head")  # recipes of their own; the first one that is given counts
_SHARED = ("fraction", *_HEADS)  # keys of `segmenter` that count for them as well


def network_of_segmenters(own: Mapping[str, Any]) -> str | None:
    """What names the segmenters' folders, where their network is another than the classifier's.

    Args:
        own: the `segmenter` part of a configuration; an older record lacks some of it.
    """
    if (head := head_of_segmenters(own)) is not None:
        return head
    name = own.get("net")
    return None if name is None else str(name)


def head_of_segmenters(own: Mapping[str, Any]) -> str | None:
    """The name of the recipe with a frozen head, "frozen_head" or "tuned_head"; None: another one.

    Args:
        own: the `segmenter` part of a configuration; an older record lacks some of it.
    """
    return next((name for name in _HEADS if own.get(name) is not None), None)


def changes_for_segmenters(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Changes to be merged, one after another, into the configuration that segmenters are made of.

    The paper's Table 1 trains two segmentation networks on the labels of one attention model.

    Args:
        values: the configuration.

    Raises:
        ConfigError: if there is no such network, its trunk is to come from the classifier, or the
            command line gives a value that has no effect.
    """
    # `get`: the record of an older run has neither.
    own = values["segmenter"]
    name, weights = own.get("net"), own.get("weights")
    if (head := head_of_segmenters(own)) is not None:
        return _with_head(own, head)
    changes: list[dict[str, Any]] = []
    if name is not None:
        if own["init"] != "net":
            raise ConfigError(
                f"segmenter.init={own['init']} takes the classifier's trunk, which "
                f"segmenter.net={name} cannot take; say segmenter.init=net"
            )
        changes += [{"net": None}, {"net": compose_group("net", name)}]
    if weights is not None:
        changes += [{"net": {"weights": weights}}]
    return [*changes, {"segmenter": {"net": None, "weights": None}}] if changes else []


def _with_head(own: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    head = own[name]
    unused = [
        key
        for key in named_keys()
        if (key.startswith("segmenter.") and key.split(".")[1] not in _SHARED)
        or key in ("evaluate.size", "evaluate.keep_shape")
    ]
    if unused:
        last = unused[0].removeprefix("segmenter.").removeprefix("evaluate.")
        raise ConfigError(
            f"{unused[0]} has no effect with segmenter={name}, whose own values are below "
            f"segmenter.{name}; say segmenter.{name}.{last}=... if it has such a value"
        )
    recipe = {key: value for key, value in head.items() if key != "net"}
    recipe |= {"fraction": own["fraction"], "net": None, "weights": None}
    recipe |= dict.fromkeys(_HEADS)
    return [
        {"segmenter": None, "net": {"segmenter": None}},
        {"segmenter": recipe, "net": {"segmenter": head["net"]}},
        {"evaluate": {"size": head["size"], "keep_shape": False}},
    ]


def named_keys() -> list[str]:
    """Keys and groups that the command line names, `crf` or `trainer.precision`; of this job."""
    if not HydraConfig.initialized():
        return []
    words = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    return [str(word.key_or_group) for word in words if word.package is None]
