"""Names of parts that have moved since a run was recorded.

A record names parts by their dotted path (`_target_`). Old run folders must still open, so each
move of a part adds its old path here.
"""

from typing import Any

__all__ = ["today"]

# Beginning of an old dotted path -> the same today. The longest match counts.
_MOVED = {
    "oaa_pl.labels.proxy.": "oaa_pl.proxy.rule.",
    "oaa_pl.labels.": "oaa_pl.proxy.",
}


def today(node: Any) -> Any:
    """A recorded value with each `_target_` as it is named today.

    Args:
        node: plain values: mappings, lists, texts, numbers.

    Examples:
        >>> today({"crf": {"_target_": "oaa_pl.labels.crf.no_crf", "n": [1]}})
        {'crf': {'_target_': 'oaa_pl.proxy.crf.no_crf', 'n': [1]}}
    """
    if isinstance(node, dict):
        return {
            key: _renamed(value) if key == "_target_" else today(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [today(value) for value in node]
    return node


def _renamed(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    for old in sorted(_MOVED, key=len, reverse=True):
        if target.startswith(old):
            return _MOVED[old] + target.removeprefix(old)
    return target
